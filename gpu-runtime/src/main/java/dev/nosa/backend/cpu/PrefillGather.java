package dev.nosa.backend.cpu;

import dev.nosa.backend.BatchInputs.Slice;
import dev.nosa.backend.cpu.BlockAttention.Blocks;
import dev.nosa.sparse.WindowMath;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The prefill workspace: what a chunk's queries attend in one layer, every block of a KV head once. Finished blocks come
 * from the host tier, the tail from its slot.
 */
final class PrefillGather implements AutoCloseable {
    private static final int NOT_WANTED = -1;

    private final CpuKvStore store;
    private final CpuThreads threads;
    private final CpuWorker[] workers;
    private NativeFloats workspace = new NativeFloats(0);

    /** One block that the workspace receives. */
    private record Copy(int head, int block) {}

    PrefillGather(CpuKvStore store, CpuThreads threads, CpuWorker[] workers) {
        this.store = store;
        this.threads = threads;
        this.workers = workers;
    }

    /**
     * Gathers the union of the queries' blocks, for each KV head its own.
     *
     * @param selected by KV head
     * @param traffic by KV head
     * @return by KV head, good until the next call
     */
    Blocks[] run(int layer, Slice slice, SelectedBlocks[] selected, CpuAttention.Traffic[] traffic) {
        int blockSize = store.layout().sparse().blockSize();
        int end = slice.start() + slice.count();
        int finished = end / blockSize;
        int[][] places =
                new int[selected.length][WindowMath.blocks(end, store.layout().sparse())];
        List<Copy> copies = new ArrayList<>();
        for (int head = 0; head < selected.length; head++) {
            int before = copies.size();
            union(head, selected[head], places[head], copies);
            long fetched = copies.subList(before, copies.size()).stream()
                    .filter(copy -> copy.block < finished)
                    .count();
            traffic[head].fetched(fetched * store.host().headBytes());
        }
        int size = store.layout().slotElements();
        workspace = CpuWorker.grown(workspace, (long) copies.size() * size);
        threads.run(copies.size(), (worker, i) -> {
            Copy copy = copies.get(i);
            if (copy.block < finished) {
                int block = slice.blocks().get(copy.block);
                store.host().read(block, layer, copy.head, workspace, i * size, workers[worker]);
            } else {
                HeadCache cache = store.head(slice.row(), layer, copy.head);
                workspace.copyFrom(i * size, cache.kv(), cache.keyOffset(copy.block), size);
            }
        });
        return blocks(layer, slice, places);
    }

    /** Appends the wanted blocks, ascending; {@code place} receives each one's index among the copies. */
    private static void union(int head, SelectedBlocks selected, int[] place, List<Copy> copies) {
        Arrays.fill(place, NOT_WANTED);
        for (int i = 0; i < selected.counts().length; i++) {
            for (int j = 0; j < selected.counts()[i]; j++) {
                place[selected.get(i, j)] = 0;
            }
        }
        for (int b = 0; b < place.length; b++) {
            if (place[b] != NOT_WANTED) {
                place[b] = copies.size();
                copies.add(new Copy(head, b));
            }
        }
    }

    private Blocks[] blocks(int layer, Slice slice, int[][] places) {
        int size = store.layout().slotElements();
        Blocks[] blocks = new Blocks[places.length];
        for (int head = 0; head < places.length; head++) {
            int[] place = places[head];
            float[] importance = store.head(slice.row(), layer, head).importance();
            blocks[head] = new Blocks(workspace, block -> place[block] * size, importance);
        }
        return blocks;
    }

    @Override
    public void close() {
        workspace.close();
    }
}
