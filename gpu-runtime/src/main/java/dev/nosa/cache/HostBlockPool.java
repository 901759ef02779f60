package dev.nosa.cache;

import java.util.Arrays;

/** Ids and reference counts of the host tier's KV blocks. Owned by the engine thread. */
final class HostBlockPool {
    private final int[] references;
    private final int[] free;
    private int freeCount;

    HostBlockPool(int blocks) {
        references = new int[blocks];
        free = new int[blocks];
        for (int i = 0; i < blocks; i++) {
            free[i] = blocks - 1 - i;
        }
        freeCount = blocks;
    }

    int total() {
        return references.length;
    }

    int free() {
        return freeCount;
    }

    /** A free block, now with one reference. */
    int allocate() {
        if (freeCount == 0) {
            throw new IllegalStateException("no free host block: all " + total() + " are held");
        }
        int block = free[--freeCount];
        references[block] = 1;
        return block;
    }

    /** One more reference to a held block. */
    void retain(int block) {
        checkHeld(block);
        references[block]++;
    }

    /** One reference less; the last one frees the block. */
    void release(int block) {
        checkHeld(block);
        if (--references[block] == 0) {
            free[freeCount++] = block;
        }
    }

    int references(int block) {
        return references[block];
    }

    /** Blocks with at least one reference, counted anew. */
    int countHeld() {
        return (int) Arrays.stream(references).filter(count -> count > 0).count();
    }

    private void checkHeld(int block) {
        if (block < 0 || block >= total() || references[block] == 0) {
            throw new IllegalStateException("host block " + block + " of " + total() + " is not held by anyone");
        }
    }
}
