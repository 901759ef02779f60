package dev.nosa.backend.cuda;

import java.nio.file.Path;
import java.util.Optional;

/**
 * How much host memory may be pinned: what the container's limit leaves beside the memory in use and what the Java heap
 * can still grow by. Without a container only the allocation itself tells. The limit of locked memory ({@code ulimit
 * -l}) is not looked at: the driver pins the pages itself and does not count them there.
 *
 * @param cgroup of the container, if it limits memory
 * @param heapGrowth bytes by which the Java heap can still grow
 */
record PinnedLimit(Optional<CgroupMemory> cgroup, long heapGrowth) {
    /** Of this process, now. */
    static PinnedLimit ofThisProcess() {
        Runtime jvm = Runtime.getRuntime();
        long usedHeap = jvm.totalMemory() - jvm.freeMemory();
        return new PinnedLimit(
                CgroupMemory.read(Path.of("/proc/self/cgroup"), Path.of("/sys/fs/cgroup")),
                Math.max(0, jvm.maxMemory() - usedHeap));
    }

    /** Bytes that can be pinned; {@link Long#MAX_VALUE} where nothing says. */
    long bytes() {
        return cgroup.map(group -> Math.max(0, group.freeBytes() - heapGrowth)).orElse(Long.MAX_VALUE);
    }

    /** Refuses to pin more than there is. */
    void check(long wanted) {
        if (wanted > bytes()) {
            CgroupMemory group = cgroup.orElseThrow();
            throw new IllegalArgumentException(String.format(
                    "host-kv: %s of pinned memory do not fit: this container may use %s (%s), has %s in use, and the"
                            + " Java heap can grow by %s (-Xmx), which leaves %s; take a smaller --host-kv or a smaller"
                            + " heap, or give the container more memory (in Spark spark.executor.memoryOverhead)",
                    Bytes.text(wanted),
                    Bytes.text(group.limitBytes()),
                    group.file(),
                    Bytes.text(group.usedBytes()),
                    Bytes.text(heapGrowth),
                    Bytes.text(bytes())));
        }
    }
}
