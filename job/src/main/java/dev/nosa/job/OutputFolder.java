package dev.nosa.job;

import java.io.IOException;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** Where results go; what stood there before is replaced only by a complete run. */
final class OutputFolder {
    private final FileSystem fs;
    private final Path target;
    private final Path work;
    private final boolean overwrites;

    private OutputFolder(FileSystem fs, Path target, Path work, boolean overwrites) {
        this.fs = fs;
        this.target = target;
        this.work = work;
        this.overwrites = overwrites;
    }

    /** Checks that the output may be written, and changes nothing. */
    static OutputFolder prepare(OutputOptions options, InputPaths input, Configuration hadoop) {
        try {
            Path path = new Path(options.output);
            FileSystem fs = path.getFileSystem(hadoop);
            Path target = fs.makeQualified(path);
            if (input.overlaps(target)) {
                throw new UsageException(options.output + " is the input, or in it, or around it", "--output");
            }
            boolean replace = false;
            if (fs.exists(target)) {
                requireMode(options, fs, target);
                replace = options.overwrites() && !isUnfinished(fs, target);
            }
            requireWritable(fs, target.getParent());
            // Readers skip names that begin with a dot.
            Path work = replace ? new Path(target.getParent(), "." + target.getName() + ".new") : target;
            return new OutputFolder(fs, target, work, options.overwrites());
        } catch (IOException | IllegalArgumentException e) {
            throw new UsageException("cannot write " + options.output + ": " + e.getMessage(), "--output", e);
        }
    }

    private static void requireMode(OutputOptions options, FileSystem fs, Path target) throws IOException {
        if (options.overwrites()) {
            requireResults(fs, target);
        } else if (!options.resumes()) {
            throw new UsageException(
                    options.output + " exists; take another path, or --output-mode resume or overwrite", "--output");
        } else if (!fs.exists(new Path(target, RunFolder.STATE))) {
            throw new UsageException(
                    options.output
                            + " exists and is no run to go on with; take another path or --output-mode overwrite",
                    "--output");
        }
    }

    /** There is nothing to keep until it is replaced. */
    private static boolean isUnfinished(FileSystem fs, Path target) throws IOException {
        return fs.exists(new Path(target, RunFolder.STATE)) && !fs.exists(new Path(target, WaveSink.SUCCESS));
    }

    /** Whether what is there may go. */
    boolean overwrites() {
        return overwrites;
    }

    FileSystem fs() {
        return fs;
    }

    Path target() {
        return target;
    }

    /** The folder of the run: the target itself, or a hidden one beside it until {@link #publish}. */
    Path work() {
        return work;
    }

    /** Puts a complete run in the place of what it replaces. */
    void publish() throws IOException {
        if (work.equals(target)) {
            return;
        }
        Path old = new Path(target.getParent(), "." + target.getName() + ".old-" + UUID.randomUUID());
        rename(target, old);
        try {
            rename(work, target);
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

    /** Overwriting deletes a folder: only one that holds results and nothing else. */
    private static void requireResults(FileSystem fs, Path target) throws IOException {
        if (!fs.getFileStatus(target).isDirectory()) {
            throw new UsageException(target + " is a file, not a folder of results", "--output");
        }
        for (FileStatus file : fs.listStatus(target)) {
            String name = file.getPath().getName();
            boolean results = name.endsWith(".parquet") || name.startsWith(WaveSink.PREFIX);
            if (!results && !name.startsWith("_") && !name.startsWith(".")) {
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
