package dev.nosa.backend.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import jcuda.JCudaVersion;
import jcuda.LibUtils;

/**
 * Puts JCuda's native library where JCuda looks for it. JCuda itself would write a missing file in place and trust one
 * that exists, so that executors which start side by side on one machine could load half of it, or another user's.
 */
final class JCudaLibrary {
    private static final FileAttribute<?> READABLE =
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-r--r--"));

    private JCudaLibrary() {}

    /** To be called before JCuda's first use; safe from any thread and process. */
    static void unpack() {
        unpack(Path.of(System.getProperty("java.io.tmpdir")));
    }

    static void unpack(Path folder) {
        String name =
                LibUtils.createLibraryFileName(LibUtils.createPlatformLibraryName("JCudaDriver-" + JCudaVersion.get()));
        Path file = folder.resolve(name);
        try (InputStream in = LibUtils.class.getResourceAsStream("/lib/" + name)) {
            if (in == null) {
                return; // left out of the class path, so JCuda finds it on java.library.path or says what it lacks
            }
            byte[] content = in.readAllBytes();
            if (Files.isRegularFile(file) && Arrays.equals(Files.readAllBytes(file), content)) {
                return;
            }
            replace(file, content);
        } catch (IOException e) {
            throw new IllegalStateException(
                    file + ": JCuda's native library cannot be written there, or replaced: " + e
                            + "; set another folder with -Djava.io.tmpdir",
                    e);
        }
    }

    private static void replace(Path file, byte[] content) throws IOException {
        Path written = Files.createTempFile(file.getParent(), "nosa", ".so", READABLE);
        try {
            Files.write(written, content);
            Files.move(written, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(written);
        }
    }
}
