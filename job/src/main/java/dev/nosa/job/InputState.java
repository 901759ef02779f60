package dev.nosa.job;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import org.apache.hadoop.fs.FileStatus;

/**
 * The files of an input, to see whether they are still the same.
 *
 * @param digest of names, lengths and times
 */
record InputState(int files, long bytes, String digest) {
    private static final int DIGEST_BYTES = 16;

    static InputState of(List<FileStatus> files) {
        long bytes = files.stream().mapToLong(FileStatus::getLen).sum();
        List<String> lines = files.stream()
                .map(file -> file.getPath() + " " + file.getLen() + " " + file.getModificationTime() + "\n")
                .sorted()
                .toList();
        return new InputState(files.size(), bytes, digest(String.join("", lines)));
    }

    static String digest(String text) {
        try {
            byte[] sha = MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(sha, 0, DIGEST_BYTES);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
