package dev.nosa.reference;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.testkit.TinyModel;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The CPU runner held to {@link ReferenceModel} on shapes, budgets, lengths and chunks that nobody chose. */
class RandomShapesTest {
    private static final double TOLERANCE = 1e-3;
    private static final int DECODED = 12;

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
    void prefillInAnyChunksAndDecodingEqualTheReference(int seed) {
        Random random = new Random(seed);
        TinyModel model = model(random);
        SparseConfig sparse = model.config().sparse();
        int length = between(random, 2 * DECODED, 3 * sparse.topK() * sparse.blockSize() + 40);
        AttentionMode mode = AttentionMode.values()[random.nextInt(AttentionMode.values().length)];
        int slots = RunnerHarness.fewestSlots(model.config()) + random.nextInt(3);
        Oracle oracle = new Oracle(model, mode, length);
        try (RunnerHarness runner =
                new RunnerHarness(model.config(), mode, model.checkpoint(), slots, length + random.nextInt(50))) {
            runner.open(0);
            float[][] logProbs = new float[length][];
            int at = 0;
            while (at < length - DECODED) {
                int to = Math.min(length - DECODED, at + between(random, 1, 90));
                float[][] chunk = runner.split(
                        runner.run(runner.chunk(0, oracle.tokens(), at, to)).get(0));
                System.arraycopy(chunk, 0, logProbs, at, to - at);
                at = to;
            }
            for (; at < length; at++) {
                logProbs[at] = runner.split(runner.run(runner.decode(0, oracle.tokens(), at))
                        .get(0))[0];
            }
            oracle.assertEqual(logProbs, 0, TOLERANCE);
            runner.release(0);
            float[][] oneShot = runner.prefill(oracle.tokens(), length);
            int prompt = length - DECODED;
            assertThat(Arrays.copyOf(logProbs, prompt)).isDeepEqualTo(Arrays.copyOf(oneShot, prompt));
        }
    }

    private static TinyModel model(Random random) {
        int kvHeads = between(random, 1, 3);
        int stride = between(random, 2, 12);
        int blockSize = stride * between(random, 1, 4);
        int init = random.nextInt(3);
        int local = random.nextInt(3);
        int query = random.nextInt(4);
        int topK = Math.max(init + local + 1, init + local + query) + random.nextInt(4);
        int dense = random.nextBoolean() ? 0 : random.nextInt(2 * topK * blockSize);
        return TinyModel.builder()
                .kvHeads(kvHeads)
                .heads(kvHeads * between(random, 1, 9))
                .headDim(2 * between(random, 16, 48))
                .sparse(new SparseConfig(
                        blockSize, stride * between(random, 1, 3), stride, init, local, topK, query, dense))
                .vocab(40)
                .seed(random.nextInt())
                .build();
    }

    /** Both ends included. */
    private static int between(Random random, int least, int most) {
        return least + random.nextInt(most - least + 1);
    }
}
