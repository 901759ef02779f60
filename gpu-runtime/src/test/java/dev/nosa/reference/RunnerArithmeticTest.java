package dev.nosa.reference;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.reference.RunnerHarness.Arithmetic;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.testkit.TinyModel;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** What threads and data types do to a CPU runner's log-probabilities. */
class RunnerArithmeticTest {
    private static final int PROMPT = 230;
    private static final int LENGTH = 300;
    private static final TinyModel MODEL = TinyModel.builder().dtype("BF16").build();
    private static final int FEWEST_SLOTS = RunnerHarness.fewestSlots(MODEL.config());

    private static float[][] logProbs(Arithmetic arithmetic, int slots) {
        int[] tokens = new Random(9).ints(LENGTH, 0, MODEL.config().vocabSize()).toArray();
        try (RunnerHarness runner =
                new RunnerHarness(MODEL.config(), AttentionMode.NOSA, MODEL.checkpoint(), slots, LENGTH, arithmetic)) {
            runner.open(0);
            runner.run(runner.chunk(0, tokens, 0, PROMPT));
            float[][] all = new float[LENGTH - PROMPT][];
            for (int position = PROMPT; position < LENGTH; position++) {
                all[position - PROMPT] = runner.split(
                                runner.run(runner.decode(0, tokens, position)).get(0))[0];
            }
            return all;
        }
    }

    @Test
    void theNumberOfThreadsDoesNotMatter() {
        float[][] expected = logProbs(Arithmetic.DEFAULT, FEWEST_SLOTS);
        assertThat(logProbs(new Arithmetic("f32", "f32", 1), FEWEST_SLOTS)).isDeepEqualTo(expected);
        assertThat(logProbs(new Arithmetic("f32", "f32", 5), FEWEST_SLOTS)).isDeepEqualTo(expected);
    }

    @Test
    void weightsKeptInBf16GiveTheSameAsTheSameWeightsWidened() {
        assertThat(logProbs(new Arithmetic("f32", "bf16", 2), FEWEST_SLOTS))
                .isDeepEqualTo(logProbs(Arithmetic.DEFAULT, FEWEST_SLOTS));
    }

    @Test
    void kvInBf16DoesNotDependOnTheSlotsAndStaysNearF32() {
        Arithmetic bf16 = new Arithmetic("bf16", "f32", 2);
        float[][] offloaded = logProbs(bf16, FEWEST_SLOTS);
        assertThat(logProbs(bf16, 1000)).isDeepEqualTo(offloaded);
        float[][] exact = logProbs(Arithmetic.DEFAULT, FEWEST_SLOTS);
        assertThat(offloaded[0]).isNotEqualTo(exact[0]);
        double sum = 0;
        for (int i = 0; i < exact.length; i++) {
            for (int t = 0; t < exact[i].length; t++) {
                sum += Math.abs(exact[i][t] - offloaded[i][t]);
            }
        }
        assertThat(sum / exact.length / exact[0].length).isLessThan(0.05);
    }
}
