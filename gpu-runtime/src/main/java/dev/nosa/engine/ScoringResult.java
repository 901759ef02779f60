package dev.nosa.engine;

import java.util.List;

/**
 * What became of a {@link ScoringRequest}.
 *
 * @param scores one a continuation, in the request's order; empty if {@code error} is set
 * @param finishReason {@link FinishReason#STOP} where all continuations were scored
 */
public record ScoringResult(String id, List<Score> scores, FinishReason finishReason, String error, Usage usage) {

    /**
     * One continuation's log-probability, natural logarithm.
     *
     * @param tokens its token ids
     * @param logProbs one a token
     */
    public record Score(int[] tokens, float[] logProbs) {
        public double sum() {
            double sum = 0;
            for (float logProb : logProbs) {
                sum += logProb;
            }
            return sum;
        }

        public double mean() {
            return sum() / logProbs.length;
        }
    }
}
