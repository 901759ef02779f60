package dev.nosa.backend.cpu;

import dev.nosa.backend.BatchInputs.Slice;
import dev.nosa.sparse.WindowMath;
import java.util.Arrays;

/**
 * The prefill workspace: what a chunk's queries attend of one layer and KV head, every block once. Finished blocks come
 * from the host tier, the tail from its slot.
 */
final class PrefillGather implements AutoCloseable {
    private static final int NOT_WANTED = -1;

    private final CpuKvStore store;
    private final CpuThreads threads;
    private final CpuWorker[] workers;
    private NativeFloats workspace = new NativeFloats(0);

    PrefillGather(CpuKvStore store, CpuThreads threads, CpuWorker[] workers) {
        this.store = store;
        this.threads = threads;
        this.workers = workers;
    }

    NativeFloats workspace() {
        return workspace;
    }

    /**
     * Gathers the union of the queries' blocks.
     *
     * @param selected query i's blocks at [i * stride, i * stride + counts[i])
     * @return where each block's K lies in {@link #workspace}, in the order of {@code selected}
     */
    @SuppressWarnings("checkstyle:ParameterNumber") // the selection of a whole chunk, as it stands in memory
    int[] run(
            int layer,
            int head,
            Slice slice,
            HeadCache cache,
            int[] selected,
            int[] counts,
            int stride,
            CpuAttention.Traffic traffic) {
        int end = slice.start() + slice.count();
        int[] place = new int[WindowMath.blocks(end, store.layout().sparse())];
        int[] blocks = union(selected, counts, stride, place);
        int size = cache.slotElements();
        workspace = CpuWorker.grown(workspace, (long) blocks.length * size);
        int finished = end / store.layout().sparse().blockSize();
        threads.run(blocks.length, (worker, i) -> {
            int block = blocks[i];
            if (block < finished) {
                store.host().read(slice.blocks().get(block), layer, head, workspace, i * size, workers[worker]);
            } else {
                workspace.copyFrom(i * size, cache.kv(), cache.keyOffset(block), size);
            }
        });
        long fetched = Arrays.stream(blocks).filter(block -> block < finished).count();
        traffic.fetched(fetched * store.host().headBytes());
        int[] keys = new int[selected.length];
        for (int i = 0; i < counts.length; i++) {
            for (int j = i * stride; j < i * stride + counts[i]; j++) {
                keys[j] = place[selected[j]] * size;
            }
        }
        return keys;
    }

    /** The wanted blocks, ascending; {@code place} receives each one's index among them. */
    private static int[] union(int[] selected, int[] counts, int stride, int[] place) {
        Arrays.fill(place, NOT_WANTED);
        for (int i = 0; i < counts.length; i++) {
            for (int j = i * stride; j < i * stride + counts[i]; j++) {
                place[selected[j]] = 0;
            }
        }
        int[] blocks = new int[place.length];
        int count = 0;
        for (int b = 0; b < place.length; b++) {
            if (place[b] != NOT_WANTED) {
                place[b] = count;
                blocks[count++] = b;
            }
        }
        return Arrays.copyOf(blocks, count);
    }

    @Override
    public void close() {
        workspace.close();
    }
}
