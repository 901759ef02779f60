package dev.nosa.backend;

import dev.nosa.sample.SamplingParams;

/**
 * How one token is to be picked.
 *
 * @param row of the logits
 * @param history tokens that the repetition penalty applies to; the first {@code historyLength} count
 * @param position the new token's place in the sequence; with the seed it decides the random number
 */
public record TokenChoice(int row, SamplingParams params, int[] history, int historyLength, long position) {
    /** Whether it is the largest logit's token, whatever the history. */
    public boolean isArgMax() {
        return params.isGreedy() && params.repetitionPenalty() == 1;
    }
}
