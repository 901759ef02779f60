package dev.nosa.backend.cuda;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Finds native libraries as files, without loading any: in the folders of the environment, where the system's loader
 * looks, and in the folders of NVIDIA's Python wheels.
 */
final class SharedLibraries {
    static final String BLAS_VARIABLE = "NOSA_CUBLASLT";

    private static final Path LOADER_CACHE = Path.of("/etc/ld.so.cache");
    private static final Pattern CACHED_PATH = Pattern.compile("/[!-~]+");
    private static final List<String> SYSTEM_FOLDERS = List.of(
            "/lib/x86_64-linux-gnu",
            "/usr/lib/x86_64-linux-gnu",
            "/lib64",
            "/usr/lib64",
            "/usr/lib",
            "/usr/local/nvidia/lib64",
            "/usr/lib/wsl/lib");

    private final Map<String, String> environment;
    private final Path root;

    /** @param root folder that stands for {@code /} */
    SharedLibraries(Map<String, String> environment, Path root) {
        this.environment = environment;
        this.root = root;
    }

    static SharedLibraries ofThisMachine() {
        return new SharedLibraries(System.getenv(), Path.of("/"));
    }

    /** The driver's library. */
    Optional<Path> driver() {
        return first(List.of("libcuda.so.1"), systemFolders());
    }

    /**
     * cublasLt of a CUDA version that the driver can run, the newest of a folder first; NOSA_CUBLASLT is the library or
     * a folder, and nothing else is searched where it is set.
     *
     * @param driverVersion as the driver gives it, such as 12040
     */
    Optional<Path> cublasLt(int driverVersion) {
        List<String> names = driverVersion >= 13000
                ? List.of("libcublasLt.so.13", "libcublasLt.so.12")
                : List.of("libcublasLt.so.12");
        String given = environment.get(BLAS_VARIABLE);
        if (given != null && !given.isBlank()) {
            Path path = Path.of(given);
            return Files.isRegularFile(path) ? Optional.of(path) : first(names, withWheels(path));
        }
        Set<Path> folders = new LinkedHashSet<>();
        for (Path folder : folders("LD_LIBRARY_PATH")) {
            folders.addAll(withWheels(folder));
        }
        for (String home : List.of("CUDA_HOME", "CUDA_PATH")) {
            for (Path folder : folders(home)) {
                folders.add(folder.resolve("lib64"));
            }
        }
        folders.add(root.resolve("usr/local/cuda/lib64"));
        folders.addAll(systemFolders());
        return first(names, folders);
    }

    /** A folder, and those of the wheels in it: {@code nvidia/cublas/lib} (CUDA 12), {@code nvidia/cu13/lib}. */
    private static Set<Path> withWheels(Path folder) {
        Set<Path> found = new LinkedHashSet<>(List.of(folder));
        for (Path parent : List.of(folder, folder.resolve("nvidia"))) {
            if (Files.isDirectory(parent)) {
                try (DirectoryStream<Path> children = Files.newDirectoryStream(parent, Files::isDirectory)) {
                    List<Path> sorted = new ArrayList<>();
                    children.forEach(child -> sorted.add(child.resolve("lib")));
                    sorted.sort(null);
                    found.addAll(sorted);
                } catch (IOException e) {
                    continue; // what may not be listed holds nothing that could be loaded
                }
            }
        }
        return found;
    }

    private Set<Path> systemFolders() {
        Set<Path> folders = new LinkedHashSet<>(folders("LD_LIBRARY_PATH"));
        folders.addAll(loaderCache(root.resolve(root.getRoot().relativize(LOADER_CACHE))));
        for (String folder : SYSTEM_FOLDERS) {
            folders.add(root.resolve(folder.substring(1)));
        }
        return folders;
    }

    private List<Path> folders(String variable) {
        List<Path> folders = new ArrayList<>();
        for (String folder : environment.getOrDefault(variable, "").split(":")) {
            if (!folder.isBlank()) {
                folders.add(Path.of(folder));
            }
        }
        return folders;
    }

    /** Folders of the paths in the loader's cache, a binary file with NUL-ended strings. */
    private static Set<Path> loaderCache(Path cache) {
        Set<Path> folders = new LinkedHashSet<>();
        try {
            String text = new String(Files.readAllBytes(cache), StandardCharsets.ISO_8859_1);
            for (String entry : text.split("\0")) {
                int slash = entry.lastIndexOf('/');
                if (slash > 0 && CACHED_PATH.matcher(entry).matches()) {
                    folders.add(Path.of(entry.substring(0, slash)));
                }
            }
        } catch (IOException e) {
            return Set.of(); // not every system has one
        }
        return folders;
    }

    private static Optional<Path> first(List<String> names, Iterable<Path> folders) {
        for (Path folder : folders) {
            for (String name : names) {
                Path file = folder.resolve(name);
                if (Files.isReadable(file)) {
                    return Optional.of(file);
                }
            }
        }
        return Optional.empty();
    }
}
