package dev.nosa.backend;

import dev.nosa.cache.BlockTable;
import java.util.Arrays;
import java.util.List;

/**
 * One step's tokens, all sequences together.
 *
 * @param tokens token ids in tensor order
 * @param slices one a sequence, prefill chunks first, then decodes; they cover the tokens without gaps
 * @param firstRow row of the first token in the whole step, of which this is a part; else 0
 */
public record BatchInputs(int[] tokens, List<Slice> slices, int firstRow) {
    /** A whole step. */
    public BatchInputs(int[] tokens, List<Slice> slices) {
        this(tokens, slices, 0);
    }

    /** Whether every slice is a decode step, so that row i is slice i's only token. */
    public boolean isDecode() {
        return slices.get(0).decode();
    }

    /** Rows [from, to) of a batch of decodes. */
    public BatchInputs decodes(int from, int to) {
        List<Slice> part = slices.subList(from, to).stream()
                .map(slice -> new Slice(slice.firstRow() - from, 1, slice.start(), slice.row(), slice.blocks(), true))
                .toList();
        return new BatchInputs(Arrays.copyOfRange(tokens, from, to), part, firstRow + from);
    }

    /**
     * One sequence's tokens.
     *
     * @param firstRow its first token's row in this batch's tensors
     * @param count tokens
     * @param start position of the first token in the sequence
     * @param row its row in the device tables
     * @param blocks host block of each block up to the last token
     * @param decode whether attention goes through the slot cache instead of the prefill workspace
     */
    public record Slice(int firstRow, int count, int start, int row, BlockTable blocks, boolean decode) {}
}
