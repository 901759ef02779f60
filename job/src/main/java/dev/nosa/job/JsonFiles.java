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
import org.apache.hadoop.fs.FSError;
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
        this.fs = withoutChecksums(fs);
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

    /** Checksums in a file of their own cannot be replaced together with the data. */
    static FileSystem withoutChecksums(FileSystem fs) {
        return fs instanceof LocalFileSystem local ? local.getRawFileSystem() : fs;
    }

    /** Writes a file where it is, in place of what is there. */
    static void write(FileSystem fs, Path file, byte[] bytes) throws IOException {
        try (OutputStream out = fs.create(file, true)) {
            out.write(bytes);
        } catch (FSError e) { // how Hadoop's local file system says that the disk is full
            throw new IOException(file + ": " + e.getCause().getMessage(), e);
        }
    }

    void write(Path file, Object value) throws IOException {
        Path temporary = new Path(file.getParent(), "." + file.getName() + ".new");
        write(fs, temporary, JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(value));
        if (fs instanceof RawLocalFileSystem) {
            fs.rename(temporary, file); // as POSIX does it, in place of what is there
        } else {
            FileContext.getFileContext(fs.getUri(), hadoop).rename(temporary, file, Options.Rename.OVERWRITE);
        }
    }
}
