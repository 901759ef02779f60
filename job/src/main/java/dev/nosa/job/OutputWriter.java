package dev.nosa.job;

import java.io.IOException;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SaveMode;

/** Writes the results as Parquet; what stood there before is replaced only by a complete run. */
final class OutputWriter {
    private final FileSystem fs;
    private final Path target;
    private final boolean replace;

    private OutputWriter(FileSystem fs, Path target, boolean replace) {
        this.fs = fs;
        this.target = target;
        this.replace = replace;
    }

    /** Checks that the output may be written, and changes nothing. */
    static OutputWriter prepare(OutputOptions options, InputPaths input, Configuration hadoop) {
        try {
            Path path = new Path(options.output);
            FileSystem fs = path.getFileSystem(hadoop);
            Path target = fs.makeQualified(path);
            if (input.overlaps(target)) {
                throw new UsageException(options.output + " is the input, or in it, or around it", "--output");
            }
            boolean exists = fs.exists(target);
            if (exists && !options.overwrite()) {
                throw new UsageException(
                        options.output + " exists; take another path or --output-mode overwrite", "--output");
            }
            if (exists) {
                requireResults(fs, target);
            }
            requireWritable(fs, target.getParent());
            return new OutputWriter(fs, target, exists);
        } catch (IOException | IllegalArgumentException e) {
            throw new UsageException("cannot write " + options.output + ": " + e.getMessage(), "--output", e);
        }
    }

    Path target() {
        return target;
    }

    void write(Dataset<Row> results) throws IOException {
        Path written = replace ? sibling("new") : target;
        try {
            results.write().mode(SaveMode.ErrorIfExists).parquet(written.toString());
        } catch (RuntimeException e) {
            removeLeftovers(written);
            throw e;
        }
        if (replace) {
            swap(written);
        }
    }

    private void swap(Path written) throws IOException {
        Path old = sibling("old");
        rename(target, old);
        try {
            rename(written, target);
        } catch (IOException e) {
            rename(old, target);
            throw e;
        }
        fs.delete(old, true);
    }

    private void rename(Path from, Path to) throws IOException {
        if (!fs.rename(from, to)) {
            throw new IOException("cannot rename " + from + " to " + to);
        }
    }

    /** Readers skip names that begin with a dot. */
    private Path sibling(String kind) {
        return new Path(target.getParent(), "." + target.getName() + "." + kind + "-" + UUID.randomUUID());
    }

    /** A failed run's folder is in the next one's way; files that a committer published early stay. */
    private void removeLeftovers(Path written) throws IOException {
        if (fs.exists(written) && (replace || !hasData(written))) {
            fs.delete(written, true);
        }
    }

    private boolean hasData(Path folder) throws IOException {
        for (FileStatus file : fs.listStatus(folder)) {
            if (file.getPath().getName().endsWith(".parquet")) {
                return true;
            }
        }
        return false;
    }

    /** Overwriting deletes a folder: only one that holds results and nothing else. */
    private static void requireResults(FileSystem fs, Path target) throws IOException {
        if (!fs.getFileStatus(target).isDirectory()) {
            throw new UsageException(target + " is a file, not a folder of results", "--output");
        }
        for (FileStatus file : fs.listStatus(target)) {
            String name = file.getPath().getName();
            if (!name.endsWith(".parquet") && !name.startsWith("_") && !name.startsWith(".")) {
                throw new UsageException(
                        target + " holds " + name + ", which no run has written; it will not be deleted", "--output");
            }
        }
    }

    private static void requireWritable(FileSystem fs, Path parent) throws IOException {
        Path folder = parent;
        while (!fs.exists(folder)) {
            folder = folder.getParent();
        }
        if (!fs.getFileStatus(folder).isDirectory()) {
            throw new UsageException(folder + " is a file", "--output");
        }
        Path probe = new Path(folder, ".nosa-" + UUID.randomUUID());
        fs.create(probe, false).close();
        fs.delete(probe, false);
    }
}
