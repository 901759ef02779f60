package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CgroupMemoryTest {
    private static final long GIB = 1L << 30;

    @TempDir
    private Path root;

    private Optional<CgroupMemory> read(String self) throws IOException {
        return CgroupMemory.read(Files.writeString(root.resolve("self"), self), root);
    }

    private void group(String folder, String... namesAndContents) throws IOException {
        Path path = Files.createDirectories(root.resolve(folder));
        for (int i = 0; i < namesAndContents.length; i += 2) {
            Files.writeString(path.resolve(namesAndContents[i]), namesAndContents[i + 1] + "\n");
        }
    }

    @Test
    void aContainerOfVersion2IsReadWithoutItsCachedFiles() throws IOException {
        group(
                "",
                "memory.max",
                "" + 8 * GIB,
                "memory.current",
                "" + 5 * GIB,
                "memory.stat",
                "anon 1\ninactive_file " + GIB + "\nactive_file " + 2 * GIB + "\nshmem 7");
        assertThat(read("0::/\n")).contains(new CgroupMemory(root.resolve("memory.max"), 8 * GIB, 2 * GIB));
    }

    @Test
    void theTightestOfAGroupAndItsParentsCounts() throws IOException {
        group("a", "memory.max", "" + 4 * GIB, "memory.current", "" + 3 * GIB);
        group("a/b", "memory.max", "" + 3 * GIB, "memory.current", "0");
        group("a/b/c", "memory.max", "max", "memory.current", "0");
        assertThat(read("0::/a/b/c")).contains(new CgroupMemory(root.resolve("a/memory.max"), 4 * GIB, 3 * GIB));
    }

    @Test
    void aContainerOfVersion1IsReadThoughItsPathIsTheHosts() throws IOException {
        group(
                "memory",
                "memory.limit_in_bytes",
                "" + 2 * GIB,
                "memory.usage_in_bytes",
                "" + GIB,
                "memory.stat",
                "inactive_file 5\ntotal_inactive_file 1000\ntotal_active_file 24");
        assertThat(read("5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n0::/docker/x\n"))
                .contains(new CgroupMemory(root.resolve("memory/memory.limit_in_bytes"), 2 * GIB, GIB - 1024));
    }

    @Test
    void noLimitIsNone() throws IOException {
        group("memory", "memory.limit_in_bytes", "9223372036854771712", "memory.usage_in_bytes", "1");
        group("", "memory.max", "max", "memory.current", "1");
        assertThat(read("4:memory:/\n0::/\n")).isEmpty();
        assertThat(CgroupMemory.read(root.resolve("none"), root)).isEmpty();
    }

    @Test
    void pathsOutsideTheRootAreNotFollowed() throws IOException {
        group("../" + root.getFileName() + "/in", "memory.max", "1", "memory.current", "0");
        assertThat(read("0::/../../etc\n")).isEmpty();
    }

    @Test
    void whatTheHeapCanGrowByIsNotPinned() {
        CgroupMemory group = new CgroupMemory(Path.of("/sys/fs/cgroup/memory.max"), 48 * GIB, 3 * GIB);
        PinnedLimit limit = new PinnedLimit(Optional.of(group), 8 * GIB);
        assertThat(limit.bytes()).isEqualTo(37 * GIB);
        assertThatCode(() -> limit.check(37 * GIB)).doesNotThrowAnyException();
        assertThatThrownBy(() -> limit.check(64 * GIB))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("host-kv: 64.0 GiB of pinned memory do not fit: this container may use 48.0 GiB"
                        + " (/sys/fs/cgroup/memory.max), has 3.0 GiB in use, and the Java heap can grow by 8.0 GiB"
                        + " (-Xmx), which leaves 37.0 GiB; take a smaller --host-kv or a smaller heap, or give the"
                        + " container more memory (in Spark spark.executor.memoryOverhead)");
    }

    @Test
    void aFullContainerHasNothingToPin() {
        PinnedLimit limit = new PinnedLimit(Optional.of(new CgroupMemory(root, GIB, GIB)), GIB);
        assertThat(limit.bytes()).isZero();
    }

    @Test
    void withoutAContainerNothingIsRefused() {
        assertThatCode(() -> new PinnedLimit(Optional.empty(), GIB).check(Long.MAX_VALUE))
                .doesNotThrowAnyException();
    }
}
