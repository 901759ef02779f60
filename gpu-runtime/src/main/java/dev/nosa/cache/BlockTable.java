package dev.nosa.cache;

import java.util.Arrays;

/** The host block of each block of one sequence, in order of position. Owned by the engine thread. */
public final class BlockTable {
    private int[] blocks = new int[8];
    private int size;

    /** A table of these host blocks, for a runner that is used without a cache manager. */
    public static BlockTable of(int... hostBlocks) {
        BlockTable table = new BlockTable();
        for (int block : hostBlocks) {
            table.add(block);
        }
        return table;
    }

    public int size() {
        return size;
    }

    /** Host block id of the sequence's block {@code index}. */
    public int get(int index) {
        if (index < 0 || index >= size) {
            throw new IndexOutOfBoundsException("block " + index + " of a table of " + size);
        }
        return blocks[index];
    }

    void add(int hostBlock) {
        if (size == blocks.length) {
            blocks = Arrays.copyOf(blocks, 2 * size);
        }
        blocks[size++] = hostBlock;
    }

    void clear() {
        size = 0;
    }
}
