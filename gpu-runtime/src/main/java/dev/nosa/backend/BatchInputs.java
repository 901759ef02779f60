package dev.nosa.backend;

import dev.nosa.cache.BlockTable;
import java.util.List;

/**
 * One step's tokens, all sequences together.
 *
 * @param tokens token ids in tensor order
 * @param slices one a sequence, prefill chunks first, then decodes; they cover the tokens without gaps
 */
public record BatchInputs(int[] tokens, List<Slice> slices) {
    /** Whether every slice is a decode step, so that row i is slice i's only token. */
    public boolean isDecode() {
        return slices.get(0).decode();
    }

    /**
     * One sequence's tokens.
     *
     * @param firstRow tensor row of its first token
     * @param count tokens
     * @param start position of the first token in the sequence
     * @param row its row in the device tables
     * @param blocks host block of each block up to the last token
     * @param decode whether attention goes through the slot cache instead of the prefill workspace
     */
    public record Slice(int firstRow, int count, int start, int row, BlockTable blocks, boolean decode) {}
}
