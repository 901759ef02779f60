package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** {@code build.sh} with a script in nvcc's place, which writes the name of its source. */
@EnabledOnOs(OS.LINUX)
class KernelBuildTest {
    private static final Path SCRIPT = Path.of("src/main/cuda/build.sh");

    @TempDir
    private Path folder;

    private Path sources;
    private Path out;

    @BeforeEach
    void createSources() throws IOException {
        sources = Files.createDirectories(folder.resolve("sources"));
        out = folder.resolve("out");
        write("one.cu", "");
        write("two.cu", "");
        write("common.cuh", "");
        compiler("12.4");
    }

    private void compiler(String version) throws IOException {
        Path nvcc = folder.resolve("nvcc");
        Files.writeString(nvcc, """
                #!/usr/bin/env bash
                if [[ $1 == --version ]]; then echo "Cuda compilation tools, release %s, V%s.1"; exit; fi
                grep -q broken "${@: -1}" && exit 1
                while [[ $1 != -o ]]; do shift; done
                basename "$3" >"$2"
                """.formatted(version, version));
        assertThat(nvcc.toFile().setExecutable(true)).isTrue();
    }

    /** A source file of an hour ago. */
    private void write(String name, String content) throws IOException {
        Path file = Files.writeString(sources.resolve(name), content);
        Files.setLastModifiedTime(file, FileTime.from(Instant.now().minusSeconds(3600)));
    }

    private void touch(String name) throws IOException {
        Files.setLastModifiedTime(
                sources.resolve(name), FileTime.from(Instant.now().plusSeconds(60)));
    }

    private String build(int expectedStatus) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder("bash", SCRIPT.toString(), sources.toString(), out.toString());
        builder.environment().put("NVCC", folder.resolve("nvcc").toString());
        Process process = builder.redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isEqualTo(expectedStatus);
        return output;
    }

    @Test
    void everySourceIsCompiledAndListed() throws IOException, InterruptedException {
        assertThat(build(0)).startsWith("[INFO] Compiling CUDA kernels (one two) with nvcc 12.4 for sm_80 ");
        assertThat(out.resolve("one.fatbin")).hasContent("one.cu");
        assertThat(out.resolve("two.fatbin")).hasContent("two.cu");
        assertThat(out.resolve("kernels.properties")).content().contains("nvcc = 12.4\n", "modules = one two\n");
    }

    @Test
    void onlyWhatChangedIsCompiledAgain() throws IOException, InterruptedException {
        build(0);
        assertThat(build(0)).isEmpty();
        touch("two.cu");
        assertThat(build(0)).contains("kernels (two) with");
        touch("common.cuh");
        assertThat(build(0)).contains("kernels (one two) with");
    }

    @Test
    void theBinaryOfARemovedSourceGoes() throws IOException, InterruptedException {
        build(0);
        Files.delete(sources.resolve("two.cu"));
        assertThat(build(0)).isEmpty();
        assertThat(out.resolve("two.fatbin")).doesNotExist();
        assertThat(out.resolve("kernels.properties")).content().contains("modules = one\n");
    }

    @Test
    void aSourceThatDoesNotCompileFailsTheBuildAndLeavesNoList() throws IOException, InterruptedException {
        build(0);
        write("one.cu", "broken");
        touch("one.cu");
        assertThat(build(1)).contains("[ERROR] nvcc failed");
        assertThat(out.resolve("kernels.properties")).doesNotExist();
    }

    @Test
    void anNvccThatIsTooOldIsAWarning() throws IOException, InterruptedException {
        compiler("11.8");
        assertThat(build(0)).startsWith("[WARNING]").contains("is version 11.8, 12.0 or newer is needed");
        assertThat(out.resolve("kernels.properties")).doesNotExist();
    }
}
