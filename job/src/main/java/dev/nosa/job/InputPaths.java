package dev.nosa.job;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * The files that an option names.
 *
 * @param given what the user wrote
 * @param option the option, for messages
 * @param pattern for Spark's readers, which take every path as a glob
 * @param root the folder that names of files are relative to
 * @param matches the file, the folder, or whatever matches the glob
 */
record InputPaths(String given, String option, String pattern, Path root, List<FileStatus> matches) {
    /** Files opened to see that they can be read: each costs a round trip on object stores. */
    private static final int PROBED_FILES = 100;

    private static final Pattern GLOB = Pattern.compile("[{}\\[\\]*?\\\\]");

    /** Finds what is given; a path that exists is taken as it is, brackets and all. */
    static InputPaths find(String given, String option, Configuration hadoop) {
        try {
            Path path = new Path(given);
            FileSystem fs = path.getFileSystem(hadoop);
            Path qualified = fs.makeQualified(path);
            if (fs.exists(qualified)) {
                FileStatus status = fs.getFileStatus(qualified);
                Path root = status.isFile() ? qualified.getParent() : qualified;
                return new InputPaths(given, option, literal(qualified), root, List.of(status));
            }
            FileStatus[] matches = fs.globStatus(qualified);
            if (matches == null || matches.length == 0) {
                throw new UsageException("no such file or folder: " + given, option);
            }
            return new InputPaths(given, option, qualified.toString(), fixedParent(qualified), List.of(matches));
        } catch (IOException | IllegalArgumentException e) {
            throw new UsageException("cannot read " + given + ": " + e.getMessage(), option, e);
        }
    }

    /** A pattern that matches the path itself. */
    static String literal(Path path) {
        return GLOB.matcher(path.toString()).replaceAll("\\\\$0");
    }

    /** The data files, folders searched through; what starts with a dot or underscore is no data. */
    List<FileStatus> files(Configuration hadoop) {
        List<FileStatus> files = new ArrayList<>();
        try {
            for (FileStatus match : matches) {
                FileSystem fs = match.getPath().getFileSystem(hadoop);
                list(fs, match, files);
            }
        } catch (FileNotFoundException e) {
            throw new UsageException("cannot read " + e.getMessage(), option, e);
        } catch (IOException e) {
            throw new UsageException("cannot read " + root + ": " + e.getMessage(), option, e);
        }
        return files;
    }

    private static void list(FileSystem fs, FileStatus entry, List<FileStatus> files) throws IOException {
        if (entry.isFile()) {
            if (files.size() < PROBED_FILES) {
                fs.open(entry.getPath()).close();
            }
            files.add(entry);
            return;
        }
        FileStatus[] children = fs.listStatus(entry.getPath());
        Arrays.sort(children);
        for (FileStatus child : children) {
            String name = child.getPath().getName();
            if (!name.startsWith("_") && !name.startsWith(".")) {
                list(fs, child, files);
            }
        }
    }

    /** Whether {@code path} is one of the matches, or inside or around one. */
    boolean overlaps(Path path) {
        return matches.stream().anyMatch(match -> isInside(path, match.getPath()) || isInside(match.getPath(), path));
    }

    private static boolean isInside(Path path, Path folder) {
        for (Path p = path; p != null; p = p.getParent()) {
            if (p.equals(folder)) {
                return true;
            }
        }
        return false;
    }

    private static Path fixedParent(Path glob) {
        Path path = glob;
        while (GLOB.matcher(path.toString()).find()) {
            path = path.getParent();
        }
        return path;
    }
}
