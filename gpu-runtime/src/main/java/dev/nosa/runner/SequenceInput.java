package dev.nosa.runner;

import dev.nosa.cache.BlockTable;

/**
 * One sequence's share of a step.
 *
 * @param row the sequence's row in the device tables
 * @param start position of the first of {@code tokens}: as many tokens are in the cache already
 * @param tokens what to compute; a decode step has one
 * @param blocks host block of every block up to the last of {@code tokens}
 * @param decode whether the step goes through the slot cache (one token) or through the prefill workspace (a chunk)
 * @param request what to make of the logits
 */
public record SequenceInput(int row, int start, int[] tokens, BlockTable blocks, boolean decode, TokenRequest request) {
    public SequenceInput {
        if (tokens.length == 0 || (decode && tokens.length != 1)) {
            throw new IllegalArgumentException(
                    "a " + (decode ? "decode" : "prefill") + " step of " + tokens.length + " tokens for row " + row);
        }
    }
}
