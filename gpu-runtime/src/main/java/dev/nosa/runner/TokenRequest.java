package dev.nosa.runner;

import dev.nosa.sample.SamplingParams;

/** What a sequence wants from the logits of one step. */
public sealed interface TokenRequest {
    /** Nothing: a chunk in the middle of a prompt. */
    record None() implements TokenRequest {}

    /**
     * The next token after the last one of the step.
     *
     * @param history all tokens of the sequence so far, read only if the repetition penalty is on; {@code historyLength}
     *     of them count
     */
    record Sample(SamplingParams params, int[] history, int historyLength) implements TokenRequest {}

    /**
     * Log-probabilities: {@code tokens[i]} given everything up to and including the step's token {@code rows[i]}.
     *
     * @param rows ascending indexes into the step's tokens of this sequence; may repeat
     */
    record Score(int[] rows, int[] tokens) implements TokenRequest {
        public Score {
            if (rows.length != tokens.length) {
                throw new IllegalArgumentException(rows.length + " rows but " + tokens.length + " tokens to score");
            }
        }
    }

    TokenRequest NONE = new None();
}
