package dev.nosa.job;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;

/** JSON files that are replaced whole: a reader sees the old one or the new one. */
final class JsonFiles {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int READERS = 32;

    private final FileSystem fs;
    private final Configuration hadoop;

    JsonFiles(FileSystem fs, Configuration hadoop) {
        // Checksums in a file of their own cannot be replaced together with the data.
        this.fs = fs instanceof LocalFileSystem local ? local.getRawFileSystem() : fs;
        this.hadoop = hadoop;
    }

    /** Throws a {@link UsageException} where the file holds something else. */
    <T> T read(Path file, Class<T> type) throws IOException {
        try (InputStream in = fs.open(file)) {
            T value = JSON.readValue(in, type);
            if (value == null) {
                throw damaged(file, null);
            }
            return value;
        } catch (JacksonException e) {
            throw damaged(file, e);
        }
    }

    /** Several at once, since each is a round trip on object stores. */
    <T> List<T> readAll(List<Path> files, Class<T> type) throws IOException {
        ExecutorService threads = Executors.newFixedThreadPool(READERS);
        try {
            List<Future<T>> readings = new ArrayList<>();
            for (Path file : files) {
                readings.add(threads.submit(() -> read(file, type)));
            }
            List<T> values = new ArrayList<>();
            for (Future<T> reading : readings) {
                values.add(reading.get());
            }
            return values;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while " + files.size() + " files were read");
        } catch (ExecutionException e) {
            throw WaveRunner.asIs(e.getCause());
        } finally {
            threads.shutdownNow();
        }
    }

    private static UsageException damaged(Path file, Exception cause) {
        return new UsageException(
                file + " is damaged, so that nobody knows what the run has done: put it back from a copy, or start anew"
                        + " with --output-mode overwrite",
                "--output",
                cause);
    }

    void write(Path file, Object value) throws IOException {
        Path temporary = new Path(file.getParent(), "." + file.getName() + ".new");
        try (OutputStream out = fs.create(temporary, true)) {
            out.write(JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(value));
        }
        if (fs instanceof RawLocalFileSystem) {
            fs.rename(temporary, file); // as POSIX does it, in place of what is there
        } else {
            FileContext.getFileContext(fs.getUri(), hadoop).rename(temporary, file, Options.Rename.OVERWRITE);
        }
    }
}
