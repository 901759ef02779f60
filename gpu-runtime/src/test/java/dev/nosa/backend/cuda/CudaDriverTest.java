package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CudaDriverTest {
    @TempDir
    private Path root;

    private Optional<String> reason(String system, String architecture) {
        return CudaDriver.beforeLoading(new SharedLibraries(Map.of(), root), system, architecture);
    }

    @Test
    void otherPlatformsAreNamed() {
        assertThat(reason("Mac OS X", "aarch64"))
                .contains("CUDA is supported on Linux x86-64 only, and this is Mac OS X aarch64");
        assertThat(reason("Linux", "aarch64")).isPresent();
    }

    @Test
    void aMissingDriverIsTheReason() {
        assertThat(reason("Linux", "amd64")).contains("no NVIDIA driver: libcuda.so.1 not found");
    }

    @Test
    void withADriverOnlyTheKernelsCanBeMissing() throws IOException {
        Path driver = root.resolve("usr/lib64/libcuda.so.1");
        Files.createDirectories(driver.getParent());
        Files.writeString(driver, "");
        boolean built = KernelModules.find(getClass().getClassLoader(), KernelModules.RUNTIME)
                .isPresent();
        assertThat(reason("Linux", "amd64")).isEqualTo(built ? Optional.empty() : Optional.of(KernelLibrary.MISSING));
    }

    @Test
    void versionsAreWrittenWithAPoint() {
        assertThat(new CudaDevice(1, "Some GPU", 86, 84, 24L << 30, 101_376, 12080))
                .hasToString("GPU 1: Some GPU (compute capability 8.6, 84 multiprocessors, 24.0 GiB), driver for CUDA"
                        + " 12.8");
    }
}
