package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
class JCudaLibraryTest {
    @TempDir
    private Path folder;

    private Path only() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            List<Path> list = files.toList();
            assertThat(list).hasSize(1);
            return list.get(0);
        }
    }

    @Test
    void tenThreadsUnpackOneWholeFile() throws IOException {
        IntStream.range(0, 10).parallel().forEach(i -> JCudaLibrary.unpack(folder));
        assertThat(only()).hasFileName("libJCudaDriver-12.6.0-linux-x86_64.so");
        assertThat(Files.size(only())).isGreaterThan(1 << 20);
    }

    @Test
    void aFileThatIsNotJCudasIsReplaced() throws IOException {
        JCudaLibrary.unpack(folder);
        byte[] whole = Files.readAllBytes(only());
        Files.write(only(), new byte[] {1});
        JCudaLibrary.unpack(folder);
        assertThat(only()).hasBinaryContent(whole);
    }

    @Test
    void aFolderThatCannotBeWrittenIsNamed() {
        assertThatThrownBy(() -> JCudaLibrary.unpack(folder.resolve("none")))
                .hasMessageContaining("none/libJCudaDriver-12.6.0-linux-x86_64.so: JCuda's native library cannot be")
                .hasMessageContaining("-Djava.io.tmpdir");
    }
}
