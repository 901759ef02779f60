package dev.nosa.sample;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SamplerTest {
    private static final int[] NO_HISTORY = {};
    private static final int DRAWS = 20_000;

    @Test
    void greedyTakesTheLowestOfEqualMaxima() {
        assertThat(sample(new float[] {1, 3, -2, 3}, SamplingParams.GREEDY, 0)).isEqualTo(1);
        assertThat(sample(new float[] {-0f, 0f}, SamplingParams.GREEDY, 0)).isZero();
    }

    @Test
    void frequenciesFollowTheSoftmaxAtATemperature() {
        float[] logits = {1f, 0f, -1f, 2f, 0.5f};
        double temperature = 0.7;
        double[] expected = softmax(logits, temperature);
        assertFrequencies(logits, params(0.7f, 0, 1f, 1f), expected);
    }

    @Test
    void topKKeepsTheBestAndBreaksTiesByTokenId() {
        float[] logits = {1f, 2f, 2f, 0f, 2f, 3f};
        double[] softmax = softmax(logits, 1);
        double kept = softmax[5] + softmax[1] + softmax[2];
        assertFrequencies(
                logits, params(1f, 3, 1f, 1f), 0, softmax[1] / kept, softmax[2] / kept, 0, 0, softmax[5] / kept);
    }

    @Test
    void topPKeepsTheTokenThatCrossesTheMass() {
        float[] logits = logs(0.05, 0.5, 0.3, 0.15);
        assertFrequencies(logits, params(1f, 0, 0.6f, 1f), 0, 0.5 / 0.8, 0.3 / 0.8, 0);
        assertFrequencies(logits, params(1f, 0, 0.81f, 1f), 0, 0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95);
        assertFrequencies(logits, params(1f, 0, 1e-6f, 1f), 0, 1, 0, 0);
    }

    @Test
    void topPAppliesToWhatTopKKept() {
        // After top-k 2 the masses are 0.625 and 0.375: 0.6 is reached by the first alone.
        assertFrequencies(logs(0.05, 0.5, 0.3, 0.15), params(1f, 2, 0.6f, 1f), 0, 1, 0, 0);
    }

    @Test
    void rankingOnlyCandidatesPicksAsRankingTheWholeVocabulary() {
        Random random = new Random(7);
        for (int round = 0; round < 300; round++) {
            float[] logits = new float[1 + random.nextInt(400)];
            for (int i = 0; i < logits.length; i++) {
                // Coarse values make ties; a wide scale makes some distributions peaked.
                logits[i] = Math.round(random.nextGaussian() * 8) * (round % 3 == 0 ? 1f : 0.1f);
            }
            int k = random.nextInt(logits.length + 2);
            float p = random.nextInt(3) == 0 ? 1f : 1 - random.nextFloat();
            int picked = sample(logits, params(1f, k, p, 1f), round);
            assertThat(nucleus(logits, k, p)).contains(picked);
        }
    }

    @Test
    void repetitionPenaltyCountsATokenOnceAndPushesBothSignsDown() {
        float[] logits = {4f, 3f, -1f};
        SamplingParams params = params(0f, 0, 1f, 1.3f);
        assertThat(Sampler.sample(logits, params, new int[] {0, 0, 0, 1}, 3, 0)).isZero();
        assertThat(Sampler.sample(logits, params(0f, 0, 1f, 1.4f), new int[] {0}, 1, 0))
                .isEqualTo(1);
        assertThat(Sampler.sample(new float[] {-1f, -1.1f}, params, new int[] {0}, 1, 0))
                .isEqualTo(1);
        assertThat(logits).containsExactly(4f, 3f, -1f);
    }

    @Test
    void seedAndPositionAloneDecide() {
        float[] logits = new float[1000];
        SamplingParams params = params(1f, 0, 1f, 1f);
        int[] first = IntStream.range(0, 50).map(i -> sample(logits, params, i)).toArray();
        int[] again = IntStream.range(0, 50).map(i -> sample(logits, params, i)).toArray();
        int[] otherSeed = IntStream.range(0, 50)
                .map(i -> sample(logits, params.withSeed(1), i))
                .toArray();
        assertThat(again).containsExactly(first);
        assertThat(otherSeed).isNotEqualTo(first);
        assertThat(IntStream.of(first).distinct().count()).isGreaterThan(40);
    }

    @Test
    void neighbouringSeedsAreIndependent() {
        float[] logits = new float[4];
        int[] counts = new int[16];
        for (int seed = 0; seed < DRAWS; seed++) {
            SamplingParams params = params(1f, 0, 1f, 1f).withSeed(seed);
            counts[4 * sample(logits, params, 5) + sample(logits, params.withSeed(seed + 1), 5)]++;
        }
        assertThat(chiSquare(
                        counts,
                        IntStream.range(0, 16).mapToDouble(i -> 1 / 16.0).toArray()))
                .isLessThan(45);
    }

    @Test
    void tinyTemperaturesAndHugeLogitsStayFinite() {
        float[] logits = {3e38f, -3e38f, 2.9e38f};
        assertThat(sample(logits, params(1e-30f, 0, 0.9f, 1f), 3)).isZero();
        assertThat(Sampler.logProb(logits, 0)).isZero();
    }

    @Test
    void oneTokenVocabularyAlwaysGivesIt() {
        assertThat(sample(new float[] {-5f}, params(1f, 1, 0.5f, 1f), 9)).isZero();
    }

    @Test
    void logProbabilitiesAreTheLogSoftmax() {
        float[] logits = {1f, 0f, -1f, 2f, 0.5f};
        double[] softmax = softmax(logits, 1);
        for (int token = 0; token < logits.length; token++) {
            assertThat((double) Sampler.logProb(logits, token)).isCloseTo(Math.log(softmax[token]), within(1e-6));
        }
        assertThat(Sampler.logSumExp(new float[] {1000f, 1000f})).isCloseTo(1000 + Math.log(2), within(1e-9));
    }

    @Test
    void logitsThatAreNotFiniteAreAnError() {
        float[] logits = {0f, Float.NaN, 1f};
        assertThatThrownBy(() -> sample(logits, SamplingParams.GREEDY, 0))
                .isInstanceOf(ArithmeticException.class)
                .hasMessageContaining("logit of token 1 of 3 is NaN");
        assertThatThrownBy(() -> Sampler.logSumExp(new float[] {Float.NEGATIVE_INFINITY}))
                .isInstanceOf(ArithmeticException.class)
                .hasMessageContaining("-Infinity");
    }

    private static int sample(float[] logits, SamplingParams params, long position) {
        return Sampler.sample(logits, params, NO_HISTORY, 0, position);
    }

    private static SamplingParams params(float temperature, int topK, float topP, float penalty) {
        return new SamplingParams(temperature, topK, topP, penalty, 11);
    }

    private static float[] logs(double... probabilities) {
        float[] logits = new float[probabilities.length];
        for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) Math.log(probabilities[i]);
        }
        return logits;
    }

    private static double[] softmax(float[] logits, double temperature) {
        double[] weights = new double[logits.length];
        double sum = 0;
        for (int i = 0; i < logits.length; i++) {
            weights[i] = Math.exp(logits[i] / temperature);
            sum += weights[i];
        }
        for (int i = 0; i < logits.length; i++) {
            weights[i] /= sum;
        }
        return weights;
    }

    /** The nucleus by sorting everything. */
    private static int[] nucleus(float[] logits, int k, float p) {
        int[] order = IntStream.range(0, logits.length)
                .boxed()
                .sorted((a, b) -> logits[a] == logits[b] ? a - b : Float.compare(logits[b], logits[a]))
                .limit(k == 0 ? logits.length : k)
                .mapToInt(i -> i)
                .toArray();
        double[] softmax = softmax(logits, 1);
        double kept = IntStream.of(order).mapToDouble(i -> softmax[i]).sum();
        double mass = 0;
        int count = 0;
        while (count < order.length && mass < p * kept + 1e-9) {
            mass += softmax[order[count++]];
        }
        return IntStream.of(order).limit(count).toArray();
    }

    private static void assertFrequencies(float[] logits, SamplingParams params, double... expected) {
        int[] counts = new int[logits.length];
        for (int position = 0; position < DRAWS; position++) {
            counts[sample(logits, params, position)]++;
        }
        for (int token = 0; token < expected.length; token++) {
            if (expected[token] == 0) {
                assertThat(counts[token]).as("draws of token %d", token).isZero();
            }
        }
        assertThat(chiSquare(counts, expected)).isLessThan(25);
    }

    private static double chiSquare(int[] counts, double[] expected) {
        int draws = IntStream.of(counts).sum();
        double sum = 0;
        for (int i = 0; i < counts.length; i++) {
            double mean = draws * expected[i];
            sum += mean == 0 ? 0 : (counts[i] - mean) * (counts[i] - mean) / mean;
        }
        return sum;
    }
}
