package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CudaHostTest {
    @TempDir
    private Path root;

    private void write(String file, String text) throws IOException {
        Path path = root.resolve(file);
        Files.createDirectories(path.getParent());
        Files.writeString(path, text);
    }

    @Test
    void withoutADriverItIsTheLastPartAndSaysWhatToDo() {
        List<CudaHost.Part> parts = CudaHost.parts(new SharedLibraries(Map.of(), root), root, 0);
        assertThat(parts).extracting(CudaHost.Part::name).containsExactly("kernels", "driver");
        assertThat(parts.get(1).found()).isFalse();
        assertThat(parts.get(1).text())
                .startsWith("no NVIDIA driver: libcuda.so.1 not found; install it on the host, and start a container");
        boolean built = KernelModules.find(getClass().getClassLoader(), KernelModules.RUNTIME)
                .isPresent();
        assertThat(parts.get(0).found()).isEqualTo(built);
    }

    @Test
    void limitsAreReadWhereTheKernelShowsThem() throws IOException {
        write("proc/self/cgroup", "0::/\n");
        write("sys/fs/cgroup/memory.max", "" + (4L << 30));
        write("sys/fs/cgroup/memory.current", "" + (1L << 30));
        write("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    2048 kB\n");
        write(
                "proc/self/limits",
                "Limit                     Soft Limit   Hard Limit   Units\nMax locked memory         8388608   8388608   bytes\n");
        HostLimits limits = HostLimits.read(root);
        assertThat(limits)
                .isEqualTo(new HostLimits(
                        Optional.of(4L << 30),
                        root.resolve("sys/fs/cgroup/memory.max").toString(),
                        1L << 30,
                        2L << 20,
                        "8388608"));
    }

    @Test
    void whereTheKernelShowsNoLimitsNothingIsInvented() {
        assertThat(HostLimits.read(root)).isEqualTo(new HostLimits(Optional.empty(), "", 0, 0, "unknown"));
    }
}
