package dev.nosa.cache;

import dev.nosa.sparse.WindowMath;

/**
 * What one request needs for its whole life.
 *
 * @param rows device rows
 * @param hostBlocks blocks of the host tier
 * @param deviceBytes slots, compressed keys and importance
 */
public record MemoryDemand(int rows, int hostBlocks, long deviceBytes) {
    /** Of one sequence of at most {@code maxTokens} tokens. */
    public static MemoryDemand of(KvLayout layout, int maxTokens) {
        return new MemoryDemand(1, WindowMath.blocks(maxTokens, layout.sparse()), layout.deviceBytes(maxTokens));
    }

    /**
     * Of a fork of the first {@code length} tokens that grows to at most {@code maxTokens}, beside its parent's: finished
     * blocks are the parent's.
     */
    public static MemoryDemand ofFork(KvLayout layout, int length, int maxTokens) {
        MemoryDemand alone = of(layout, maxTokens);
        int shared = length / layout.sparse().blockSize();
        return new MemoryDemand(1, alone.hostBlocks - shared, alone.deviceBytes);
    }

    public MemoryDemand plus(MemoryDemand other) {
        return new MemoryDemand(rows + other.rows, hostBlocks + other.hostBlocks, deviceBytes + other.deviceBytes);
    }

    MemoryDemand minus(MemoryDemand other) {
        return new MemoryDemand(rows - other.rows, hostBlocks - other.hostBlocks, deviceBytes - other.deviceBytes);
    }

    boolean covers(MemoryDemand other) {
        return rows >= other.rows && hostBlocks >= other.hostBlocks && deviceBytes >= other.deviceBytes;
    }
}
