package dev.nosa.reference;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.runner.SequenceOutput;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.BlockSelection;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.testkit.TinyModel;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The CPU runner held to {@link ReferenceModel}: shapes, lengths, modes, chunks, batches and slots. */
class RunnerContractTest {
    private static final double TOLERANCE = 1e-3;
    private static final int VOCAB = 48;

    /** Query heads, KV heads, head size; budgets; length. One line for each thing that a kernel could take for granted. */
    private enum Shape {
        PAIRS(4, 2, 32, new SparseConfig(16, 8, 4, 1, 1, 6, 2, 0), 300),
        ONE_QUERY_HEAD_PER_KV_HEAD(2, 2, 64, new SparseConfig(32, 16, 8, 0, 1, 4, 2, 0), 333),
        GROUP_OF_3_ODD_HEAD_SIZE_NO_LOCAL_BLOCK(6, 2, 80, new SparseConfig(16, 8, 8, 1, 0, 5, 3, 0), 250),
        GROUP_OF_8_BLOCKS_OF_64(8, 1, 128, new SparseConfig(64, 32, 16, 1, 1, 4, 2, 0), 500),
        GROUP_OF_16_WINDOW_OF_A_BLOCK(32, 2, 32, new SparseConfig(16, 16, 4, 2, 2, 8, 1, 0), 260),
        LARGE_HEADS_DENSE_START(2, 1, 256, new SparseConfig(16, 8, 4, 1, 1, 6, 2, 130), 240),
        WINDOW_OVER_BLOCKS_NO_QUERY_BUDGET(4, 2, 32, new SparseConfig(8, 16, 4, 1, 0, 4, 0, 0), 150),
        ONE_WINDOW_PER_BLOCK_LARGE_BLOCKS(4, 4, 32, new SparseConfig(48, 48, 48, 0, 0, 3, 2, 0), 400);

        private final TinyModel model;
        private final int length;

        Shape(int heads, int kvHeads, int headDim, SparseConfig sparse, int length) {
            this.length = length;
            model = TinyModel.builder()
                    .heads(heads)
                    .kvHeads(kvHeads)
                    .headDim(headDim)
                    .sparse(sparse)
                    .vocab(VOCAB)
                    .attentionBias(headDim == 64)
                    .tiedEmbeddings(headDim == 80)
                    .seed(heads)
                    .build();
        }
    }

    @ParameterizedTest
    @EnumSource(Shape.class)
    void selectsTheBlocksOfTheReferenceTiesIncluded(Shape shape) {
        SparseConfig sparse = shape.model.config().sparse();
        Random random = new Random(5);
        for (AttentionMode mode : AttentionMode.values()) {
            BlockSelection selection = new BlockSelection(sparse, mode);
            ReferenceSelection reference = new ReferenceSelection(mode, sparse);
            for (int round = 0; round < 200; round++) {
                int position = random.nextInt(4 * shape.length);
                int blocks = position / sparse.blockSize() + 1;
                float[] query = scores(random, blocks);
                float[] importance = scores(random, blocks);
                int[] expected = reference
                        .choose(position, widened(query), widened(importance))
                        .blocks();
                int[] selected = new int[blocks];
                int count = selection.select(position, query, importance, selected);
                assertThat(Arrays.copyOf(selected, count))
                        .as("%s at %d", mode, position)
                        .containsExactly(expected);
            }
        }
    }

    /** Few distinct values, so that ties at the cuts are common. */
    private static float[] scores(Random random, int blocks) {
        float[] scores = new float[blocks];
        for (int b = 0; b < blocks; b++) {
            scores[b] = random.nextInt(8) / 8f;
        }
        return scores;
    }

    private static double[] widened(float[] values) {
        double[] wide = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            wide[i] = values[i];
        }
        return wide;
    }

    @ParameterizedTest
    @EnumSource(Shape.class)
    void prefillEqualsTheReference(Shape shape) {
        for (AttentionMode mode : AttentionMode.values()) {
            Oracle oracle = new Oracle(shape.model, mode, shape.length);
            try (RunnerHarness runner = fewestSlots(shape.model, mode, shape.length)) {
                oracle.assertEqual(runner.prefill(oracle.tokens(), shape.length), 0, TOLERANCE);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"1", "7", "8", "15", "16", "17", "95", "96", "97"})
    void lengthsAroundAWindowABlockAndKBlocksEqualTheReference(int length) {
        TinyModel model = Shape.PAIRS.model;
        for (AttentionMode mode : AttentionMode.values()) {
            Oracle oracle = new Oracle(model, mode, length);
            try (RunnerHarness runner = fewestSlots(model, mode, length)) {
                oracle.assertEqual(runner.prefill(oracle.tokens(), length), 0, TOLERANCE);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(Shape.class)
    void decodeStepsEqualTheReferenceAndCountItsBlocks(Shape shape) {
        for (AttentionMode mode : AttentionMode.values()) {
            Oracle oracle = new Oracle(shape.model, mode, shape.length);
            int prompt = shape.length - 70;
            try (RunnerHarness runner = fewestSlots(shape.model, mode, shape.length)) {
                runner.open(0);
                runner.run(runner.chunk(0, oracle.tokens(), 0, prompt));
                float[][] logProbs = new float[shape.length - prompt][];
                for (int position = prompt; position < shape.length; position++) {
                    SequenceOutput output = runner.run(runner.decode(0, oracle.tokens(), position))
                            .get(0);
                    logProbs[position - prompt] = runner.split(output)[0];
                    assertThat(output.traffic().selected()).isEqualTo(oracle.selectedBlocks(position));
                }
                oracle.assertEqual(logProbs, prompt, TOLERANCE);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(Shape.class)
    void anyNumberOfSlotsDecodesBitForBitAlike(Shape shape) {
        int fewest = RunnerHarness.fewestSlots(shape.model.config());
        int all = shape.length / shape.model.config().sparse().blockSize() + 1;
        int[] tokens = tokens(3, shape.length);
        for (AttentionMode mode : List.of(AttentionMode.NOSA, AttentionMode.INFLLM_V2, AttentionMode.DMA)) {
            float[][] resident = decodeAfterPrompt(shape, mode, Math.max(all, fewest), tokens);
            assertThat(decodeAfterPrompt(shape, mode, fewest, tokens)).isDeepEqualTo(resident);
            assertThat(decodeAfterPrompt(shape, mode, 2 * fewest, tokens)).isDeepEqualTo(resident);
        }
    }

    private static float[][] decodeAfterPrompt(Shape shape, AttentionMode mode, int slots, int[] tokens) {
        try (RunnerHarness runner =
                new RunnerHarness(shape.model.config(), mode, shape.model.checkpoint(), slots, tokens.length)) {
            int prompt = tokens.length - 70;
            runner.open(0);
            runner.run(runner.chunk(0, tokens, 0, prompt));
            return decode(runner, 0, tokens, prompt);
        }
    }

    private static float[][] decode(RunnerHarness runner, int row, int[] tokens, int from) {
        float[][] logProbs = new float[tokens.length - from][];
        for (int position = from; position < tokens.length; position++) {
            logProbs[position - from] = runner.split(
                            runner.run(runner.decode(row, tokens, position)).get(0))[0];
        }
        return logProbs;
    }

    @ParameterizedTest
    @EnumSource(Shape.class)
    void chunkedPrefillEqualsOneShotBitForBit(Shape shape) {
        int[] tokens = tokens(4, shape.length);
        for (AttentionMode mode : AttentionMode.values()) {
            try (RunnerHarness runner = fewestSlots(shape.model, mode, shape.length)) {
                float[][] oneShot = runner.prefill(tokens, shape.length);
                assertThat(runner.prefill(tokens, 64)).isDeepEqualTo(oneShot);
                assertThat(runner.prefill(tokens, 37)).isDeepEqualTo(oneShot);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(Shape.class)
    void aMixedBatchEqualsEachSequenceAloneBitForBit(Shape shape) {
        int[] shorter = tokens(5, shape.length - 31);
        int[] longer = tokens(6, shape.length);
        int[] chunked = tokens(7, shape.length - 5);
        for (AttentionMode mode : AttentionMode.values()) {
            try (RunnerHarness runner = fewestSlots(shape.model, mode, shape.length)) {
                float[][] chunkAlone = runner.prefill(chunked, 64);
                runner.open(1);
                runner.run(runner.chunk(1, shorter, 0, shorter.length - 4));
                float[][] shorterAlone = decode(runner, 1, shorter, shorter.length - 4);
                runner.release(1);
                runner.open(1);
                runner.run(runner.chunk(1, longer, 0, longer.length - 4));
                float[][] longerAlone = decode(runner, 1, longer, longer.length - 4);
                runner.release(1);

                runner.open(0);
                runner.open(2);
                runner.open(3);
                runner.run(
                        runner.chunk(2, shorter, 0, shorter.length - 4), runner.chunk(3, longer, 0, longer.length - 4));
                for (int step = 0; step < 4; step++) {
                    int from = 64 * step;
                    int to = Math.min(from + 64, chunked.length);
                    List<SequenceOutput> outputs = runner.run(
                            runner.chunk(0, chunked, from, to),
                            runner.decode(2, shorter, shorter.length - 4 + step),
                            runner.decode(3, longer, longer.length - 4 + step));
                    assertThat(runner.split(outputs.get(0))).isDeepEqualTo(Arrays.copyOfRange(chunkAlone, from, to));
                    assertThat(runner.split(outputs.get(1))[0]).containsExactly(shorterAlone[step]);
                    assertThat(runner.split(outputs.get(2))[0]).containsExactly(longerAlone[step]);
                    if (to == chunked.length) {
                        break;
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"160", "161", "167", "175"})
    void aForkContinuesLikeItsParentBitForBit(int length) {
        TinyModel model = Shape.PAIRS.model;
        int[] tokens = tokens(8, 230);
        for (AttentionMode mode : AttentionMode.values()) {
            try (RunnerHarness runner = fewestSlots(model, mode, tokens.length)) {
                runner.open(0);
                runner.run(runner.chunk(0, tokens, 0, length));
                runner.fork(0, 1, length);
                float[][] parent = decode(runner, 0, tokens, length);
                assertThat(decode(runner, 1, tokens, length)).isDeepEqualTo(parent);
            }
        }
    }

    @Test
    void bfloat16CheckpointsEqualTheReferenceOnTheirRoundedWeights() {
        TinyModel model = TinyModel.builder().dtype("BF16").vocab(VOCAB).build();
        Oracle oracle = new Oracle(model, AttentionMode.NOSA, 200);
        try (RunnerHarness runner = fewestSlots(model, AttentionMode.NOSA, 200)) {
            oracle.assertEqual(runner.prefill(oracle.tokens(), 200), 0, TOLERANCE);
        }
    }

    private static RunnerHarness fewestSlots(TinyModel model, AttentionMode mode, int maxTokens) {
        int slots = RunnerHarness.fewestSlots(model.config());
        return new RunnerHarness(model.config(), mode, model.checkpoint(), slots, maxTokens);
    }

    private static int[] tokens(long seed, int length) {
        return new Random(seed).ints(length, 0, VOCAB).toArray();
    }
}
