package dev.nosa.backend.cpu;

import dev.nosa.backend.KvStore;
import dev.nosa.sparse.SlotTable;
import java.util.stream.IntStream;

/** Shows tests in other packages what lies in the slots of a CPU backend. */
public final class ResidentBlocks {
    private ResidentBlocks() {}

    /** Of the blocks [0, count) of a row those that a layer and KV head holds, ascending. */
    public static int[] of(KvStore store, int row, int layer, int head, int count) {
        SlotTable slots = ((CpuKvStore) store).head(row, layer, head).slots();
        return IntStream.range(0, count).filter(slots::isResident).toArray();
    }
}
