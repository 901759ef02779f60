package dev.nosa.sparse;

import java.util.Arrays;

/**
 * Which block lies in which slot of one sequence, layer and KV head: the reference of the residency diff (NOSA
 * specification, section 4). Hits stay where they are; a missing block takes the slot that was unused longest, empty
 * slots and low slots first. Not thread-safe.
 */
public final class SlotTable {
    private static final int NONE = -1;

    private final int[] blockOf;
    private final int[] slotOf;
    private final long[] lastUse;
    private long step;

    /**
     * @param slots blocks that fit
     * @param blocks blocks that the sequence can grow to
     */
    public SlotTable(int slots, int blocks) {
        blockOf = new int[slots];
        slotOf = new int[blocks];
        lastUse = new long[slots];
        Arrays.fill(blockOf, NONE);
        Arrays.fill(slotOf, NONE);
    }

    /** The slot of a resident block. */
    public int slot(int block) {
        if (slotOf[block] == NONE) {
            throw new IllegalStateException("block " + block + " is not resident");
        }
        return slotOf[block];
    }

    public boolean isResident(int block) {
        return slotOf[block] != NONE;
    }

    /** Gives the new tail block a slot; nothing has to be copied into it. */
    public int openTail(int block) {
        step++;
        return place(block);
    }

    /**
     * Makes {@code selected[0, count)} resident.
     *
     * @param missing receives the blocks that have to be copied in, in order of {@code selected}; their slots are {@link
     *     #slot}
     * @return how many are missing
     */
    public int fetch(int[] selected, int count, int[] missing) {
        step++;
        int misses = 0;
        for (int i = 0; i < count; i++) {
            int slot = slotOf[selected[i]];
            if (slot == NONE) {
                missing[misses++] = selected[i];
            } else {
                lastUse[slot] = step;
            }
        }
        for (int i = 0; i < misses; i++) {
            place(missing[i]);
        }
        return misses;
    }

    private int place(int block) {
        int slot = longestUnused();
        if (lastUse[slot] == step) {
            throw new IllegalStateException("all " + blockOf.length + " slots are in use by one step");
        }
        if (blockOf[slot] != NONE) {
            slotOf[blockOf[slot]] = NONE;
        }
        blockOf[slot] = block;
        slotOf[block] = slot;
        lastUse[slot] = step;
        return slot;
    }

    private int longestUnused() {
        int slot = 0;
        for (int s = 1; s < lastUse.length; s++) {
            if (lastUse[s] < lastUse[slot]) {
                slot = s;
            }
        }
        return slot;
    }
}
