package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KernelModulesTest {
    @TempDir
    private Path classes;

    private ClassLoader loader() throws IOException {
        return new URLClassLoader(new URL[] {classes.toUri().toURL()}, null);
    }

    @Test
    void theListNamesTheBinaries() throws IOException {
        Files.createDirectories(classes.resolve("k"));
        Files.writeString(classes.resolve("k/kernels.properties"), "nvcc = 12.4\nmodules = decode prefill\n");
        Files.write(classes.resolve("k/decode.fatbin"), new byte[] {1, 2});
        KernelModules modules = KernelModules.find(loader(), "k").orElseThrow();
        assertThat(modules).isEqualTo(new KernelModules("k", "12.4", List.of("decode", "prefill")));
        assertThat(modules.read(loader(), "decode")).containsExactly(1, 2);
        assertThatThrownBy(() -> modules.read(loader(), "prefill"))
                .hasMessage("k/prefill.fatbin is not on the class path, but listed beside it");
    }

    @Test
    void aBuildWithoutNvccHasNone() throws IOException {
        assertThat(KernelModules.find(loader(), "k")).isEmpty();
    }

    @Test
    void aDriverOlderThanTheCompilerIsRefused() {
        KernelModules modules = new KernelModules("k", "13.0", List.of());
        assertThat(modules.refusedBy(13000)).isEmpty();
        assertThat(modules.refusedBy(14010)).isEmpty();
        assertThat(modules.refusedBy(12040))
                .contains("the kernels of this build were compiled by nvcc 13.0, and the"
                        + " driver runs CUDA up to 12.4; update the driver, or build with an older nvcc");
    }
}
