package dev.nosa.cache;

import java.util.BitSet;

/** The rows of the device tables, the lowest free one first. Owned by the engine thread. */
final class RowPool {
    private final int total;
    private final BitSet held = new BitSet();

    RowPool(int rows) {
        total = rows;
    }

    int total() {
        return total;
    }

    int free() {
        return total - held.cardinality();
    }

    boolean isHeld(int row) {
        return held.get(row);
    }

    int allocate() {
        int row = held.nextClearBit(0);
        if (row >= total) {
            throw new IllegalStateException("no free row: all " + total + " are held");
        }
        held.set(row);
        return row;
    }

    void release(int row) {
        if (row < 0 || row >= total || !held.get(row)) {
            throw new IllegalStateException("row " + row + " of " + total + " is not held by anyone");
        }
        held.clear(row);
    }
}
