package dev.nosa.reference;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How far two runs of one sequence are apart, as log-probabilities [t][vocab].
 *
 * @param mean absolute difference of all log-probabilities
 * @param worstPosition largest mean absolute difference of one position
 * @param changed share of the positions whose likeliest token is another
 * @param count positions
 */
record LogProbNoise(double mean, double worstPosition, double changed, int count) {
    private static final Logger log = LoggerFactory.getLogger(LogProbNoise.class);

    static LogProbNoise of(float[][] actual, float[][] expected) {
        assertThat(actual).hasDimensions(expected.length, expected[0].length);
        double sum = 0;
        double worst = 0;
        int changed = 0;
        for (int t = 0; t < actual.length; t++) {
            double own = 0;
            for (int id = 0; id < actual[t].length; id++) {
                own += Math.abs((double) actual[t][id] - expected[t][id]);
            }
            assertThat(own).as("position %d: %s", t, Arrays.toString(actual[t])).isFinite();
            sum += own / actual[t].length;
            worst = Math.max(worst, own / actual[t].length);
            changed += likeliest(actual[t]) == likeliest(expected[t]) ? 0 : 1;
        }
        return new LogProbNoise(sum / actual.length, worst, (double) changed / actual.length, actual.length);
    }

    static int likeliest(float[] logProbs) {
        int best = 0;
        for (int id = 1; id < logProbs.length; id++) {
            best = logProbs[id] > logProbs[best] ? id : best;
        }
        return best;
    }

    /** Logs the figures, and fails where the noise is more than a mean, a worst position and a share of other tokens. */
    void assertWithin(String what, double mostMean, double mostAtOnePosition, double mostChanged) {
        log.info("{}: {}", what, this);
        assertThat(mean).as("%s: mean difference", what).isLessThan(mostMean);
        assertThat(worstPosition).as("%s: worst position", what).isLessThan(mostAtOnePosition);
        assertThat(changed * count).as("%s: other tokens", what).isLessThanOrEqualTo(mostChanged * count + 1);
    }
}
