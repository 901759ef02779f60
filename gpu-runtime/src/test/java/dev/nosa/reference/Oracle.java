package dev.nosa.reference;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.sparse.AttentionMode;
import dev.nosa.testkit.TinyModel;
import java.util.Arrays;
import java.util.Random;

/** What the reference says of one random sequence, and which of its positions single precision can reproduce. */
final class Oracle {
    /** A selection whose scores are closer than this may fall otherwise in single precision. */
    private static final double TOO_CLOSE = 1e-5;

    /** As close as that, an earlier position's other choice changes the keys of the next layer for all that follow. */
    private static final double TOO_CLOSE_FOR_FOLLOWERS = 1e-6;

    private final int[] tokens;
    private final ReferenceModel.Run run;
    private final double[][] logProbs;

    Oracle(TinyModel model, AttentionMode mode, int length) {
        tokens = new Random(length).ints(length, 0, model.config().vocabSize()).toArray();
        run = new ReferenceModel(model.config(), mode, model.weights()).run(tokens);
        logProbs = Arrays.stream(run.logits()).map(Oracle::logSoftmax).toArray(double[][]::new);
    }

    int[] tokens() {
        return tokens;
    }

    /** Blocks that a decode step at {@code position} selects, over all layers and KV heads. */
    long selectedBlocks(int position) {
        return run.layers().stream()
                .flatMap(layer -> Arrays.stream(layer.rows()[position]))
                .mapToLong(row -> row.blocks().length)
                .sum();
    }

    /** Whether every selection that {@code position} depends on has a clear margin. */
    boolean isDecided(int position) {
        for (int layer = 0; layer < run.layers().size(); layer++) {
            boolean last = layer == run.layers().size() - 1;
            LayerTrace.HeadRow[][] rows = run.layers().get(layer).rows();
            for (int earlier = last ? position : 0; earlier <= position; earlier++) {
                double limit = earlier == position ? TOO_CLOSE : TOO_CLOSE_FOR_FOLLOWERS;
                if (Arrays.stream(rows[earlier]).anyMatch(row -> row.margin() < limit)) {
                    return false;
                }
            }
        }
        return true;
    }

    /** Log-probabilities [t][vocab] of the positions from {@code first} on; at most a tenth may be undecided. */
    void assertEqual(float[][] actual, int first, double tolerance) {
        int undecided = 0;
        for (int n = 0; n < actual.length; n++) {
            if (!isDecided(first + n)) {
                undecided++;
                continue;
            }
            for (int id = 0; id < actual[n].length; id++) {
                assertThat(Math.abs(actual[n][id] - logProbs[first + n][id]))
                        .as("position %d, token %d: %s for %s", first + n, id, actual[n][id], logProbs[first + n][id])
                        .isLessThan(tolerance);
            }
        }
        assertThat(undecided).as("positions too close to call").isLessThanOrEqualTo(actual.length / 10);
    }

    private static double[] logSoftmax(double[] logits) {
        double max = Arrays.stream(logits).max().orElseThrow();
        double sum = Arrays.stream(logits).map(x -> Math.exp(x - max)).sum();
        return Arrays.stream(logits).map(x -> x - max - Math.log(sum)).toArray();
    }
}
