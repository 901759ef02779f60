package dev.nosa.cache;

/**
 * What all running requests share.
 *
 * @param rows device rows
 * @param hostBlocks blocks of the host tier
 * @param deviceBytes slots, compressed keys and importance
 */
public record MemoryBudget(int rows, int hostBlocks, long deviceBytes) {
    MemoryDemand asDemand() {
        return new MemoryDemand(rows, hostBlocks, deviceBytes);
    }
}
