package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SharedLibrariesTest {
    @TempDir
    private Path root;

    private SharedLibraries libraries(Map<String, String> environment) {
        return new SharedLibraries(environment, root);
    }

    private Path file(String path) throws IOException {
        Path file = root.resolve(path);
        Files.createDirectories(file.getParent());
        return Files.writeString(file, "");
    }

    @Test
    void aMachineWithoutADriverHasNone() {
        assertThat(libraries(Map.of()).driver()).isEmpty();
        assertThat(libraries(Map.of()).cublasLt(13000)).isEmpty();
    }

    @Test
    void theDriverIsFoundInASystemFolder() throws IOException {
        Path driver = file("usr/lib/x86_64-linux-gnu/libcuda.so.1");
        assertThat(libraries(Map.of()).driver()).contains(driver);
    }

    @Test
    void theDriverIsFoundThroughTheLoadersCache() throws IOException {
        Path driver = file("opt/driver/libcuda.so.1");
        Path cache = file("etc/ld.so.cache");
        String strings = "\0libcuda.so.1\0" + driver + "\0/\u00ff\u00fe/odd\0";
        Files.write(cache, ("glibc-ld.so.cache1.1\1\2" + strings).getBytes(StandardCharsets.ISO_8859_1));
        assertThat(libraries(Map.of()).driver()).contains(driver);
    }

    @Test
    void theNewestThatTheDriverRunsIsTaken() throws IOException {
        Path twelve = file("usr/local/cuda/lib64/libcublasLt.so.12");
        Path thirteen = file("usr/local/cuda/lib64/libcublasLt.so.13");
        assertThat(libraries(Map.of()).cublasLt(13010)).contains(thirteen);
        assertThat(libraries(Map.of()).cublasLt(12080)).contains(twelve);
    }

    @Test
    void theEnvironmentComesFirst() throws IOException {
        file("usr/local/cuda/lib64/libcublasLt.so.13");
        Path home = file("cuda-12/lib64/libcublasLt.so.12");
        Map<String, String> environment =
                Map.of("CUDA_HOME", root.resolve("cuda-12").toString());
        assertThat(libraries(environment).cublasLt(13000)).contains(home);
        Path path = file("libs/libcublasLt.so.12");
        environment = Map.of(
                "CUDA_HOME",
                root.resolve("cuda-12").toString(),
                "LD_LIBRARY_PATH",
                root.resolve("none") + ":" + root.resolve("libs"));
        assertThat(libraries(environment).cublasLt(13000)).contains(path);
    }

    @Test
    void wheelsOfPythonAreSearched() throws IOException {
        Path wheel = file("site-packages/nvidia/cu13/lib/libcublasLt.so.13");
        for (String folder : new String[] {"site-packages", "site-packages/nvidia", "site-packages/nvidia/cu13/lib"}) {
            String given = root.resolve(folder).toString();
            assertThat(libraries(Map.of("NOSA_CUBLASLT", given)).cublasLt(13000))
                    .contains(wheel);
            assertThat(libraries(Map.of("LD_LIBRARY_PATH", given)).cublasLt(13000))
                    .contains(wheel);
        }
    }

    @Test
    void whatTheUserNamesIsAllThatCounts() throws IOException {
        file("usr/local/cuda/lib64/libcublasLt.so.13");
        Path own = file("own/libcublasLt.so.12.6");
        assertThat(libraries(Map.of("NOSA_CUBLASLT", own.toString())).cublasLt(13000))
                .contains(own);
        assertThat(libraries(Map.of("NOSA_CUBLASLT", own.getParent().toString()))
                        .cublasLt(13000))
                .isEmpty();
    }
}
