package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.nosa.backend.cuda.DecodeSteps.Lists;
import dev.nosa.backend.cuda.DecodeSteps.Part;
import dev.nosa.backend.cuda.KernelReference.Attended;
import dev.nosa.backend.cuda.KernelReference.Context;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.sparse.WindowMath;
import dev.nosa.tensor.BFloat16;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The decode kernels against Java, over steps in which sequences of different lengths cross the borders of windows and blocks and
 * the end of the dense start. What decode_select selects is held to BlockSelection in {@link DecodeSelectGpuTest}.
 */
class DecodeKernelsGpuTest extends KernelGpuTest {
    /** All lanes but the shortest pass a block's border. */
    private static final int STEPS = 24;

    private static final double LOG2E = 1 / Math.log(2);

    /** What is looked at behind each layer of a step; its tokens are in the lanes, its pages in the image. */
    private interface Check {
        void of(DecodeSteps steps, int lane, int layer);
    }

    /** All kernels of a step, of every shape in every mode; AssertJ's message says which check failed. */
    @ParameterizedTest
    @MethodSource("dev.nosa.backend.cuda.KernelShape#inEveryMode")
    void everyStepIsThatOfTheReference(KernelShape shape, AttentionMode mode) {
        List<Check> checks = List.of(
                DecodeKernelsGpuTest::appendTurnsQueriesAndKeysAndTakesInValuesAndImportance,
                DecodeKernelsGpuTest::appendCompletesWindowsExactly,
                DecodeKernelsGpuTest::scoresAreProductsWithVisibleWindowsAndTheirSums,
                DecodeKernelsGpuTest::selectedBlocksLieInTheirSlotsBitForBit,
                DecodeKernelsGpuTest::attentionInAnySplitsIsTheSoftmaxOverTheSelectedBlocks,
                DecodeKernelsGpuTest::finishedTailsGoToTheHostAndUnfinishedOnesDoNot);
        int budget = shape.sparse.maxBudget() * KernelShape.BLOCK;
        int border = 3 * KernelShape.BLOCK;
        DecodeSteps steps = DecodeSteps.of(
                bench,
                shape,
                mode,
                shape.sparse.maxBudget() + 1,
                shape.maxTokens(),
                1,
                KernelShape.BLOCK - 2,
                Math.max(border + 50, shape.sparse.denseLength() - 10),
                budget - 3,
                budget + border - 1,
                budget + border + 45);
        for (int step = 0; step < STEPS; step++) {
            steps.begin();
            for (int layer = 0; layer < KernelShape.LAYERS; layer++) {
                steps.append(layer);
                steps.scores(layer);
                steps.select(layer);
                steps.gather(layer, 3);
                steps.kv.download();
                takeIn(steps, layer);
                for (int lane = 0; lane < steps.lanes.size(); lane++) {
                    for (Check check : checks) {
                        check.of(steps, lane, layer);
                    }
                }
            }
            steps.writeBack();
            steps.advance();
        }
    }

    /** Puts the new tokens' K, V and importance, as the kernels have them, into the lanes, and tells the slot tables. */
    private static void takeIn(DecodeSteps steps, int layer) {
        for (int i = 0; i < steps.lanes.size(); i++) {
            DecodeLane lane = steps.lanes.get(i);
            for (int head = 0; lane != null && head < steps.shape.kvHeads; head++) {
                int block = lane.position / KernelShape.BLOCK;
                int token = lane.position % KernelShape.BLOCK;
                if (token == 0) {
                    lane.table(layer, head).openTail(block);
                }
                int[] chosen = steps.lists(i, head).blocks().clone();
                Arrays.sort(chosen);
                lane.table(layer, head).fetch(chosen, chosen.length, new int[chosen.length]);
                int slot = lane.table(layer, head).slot(block);
                lane.takeIn(
                        layer,
                        head,
                        lane.position,
                        steps.kv.key(lane.row, slot, layer, head, token),
                        steps.kv.value(lane.row, slot, layer, head, token),
                        steps.mode.usesImportance() ? steps.kv.importance(lane.row, layer, head, lane.position) : 0);
            }
        }
    }

    private static void appendTurnsQueriesAndKeysAndTakesInValuesAndImportance(DecodeSteps steps, int i, int layer) {
        KernelShape shape = steps.shape;
        AttentionMode mode = steps.mode;
        DecodeLane lane = steps.lanes.get(i);
        int at = i * shape.qkvWidth();
        float[] queries = KernelBench.readBf16(steps.queries);
        for (int h = 0; lane != null && h < shape.heads(); h++) {
            int from = (i * shape.heads() + h) * shape.headDim;
            assertRoped(Arrays.copyOfRange(queries, from, from + shape.headDim), head(steps, at, h), lane.position);
        }
        float[] values = new float[shape.kvHeads * shape.headDim];
        System.arraycopy(steps.qkv, at + (shape.heads() + shape.kvHeads) * shape.headDim, values, 0, values.length);
        for (int h = 0; lane != null && h < shape.kvHeads; h++) {
            assertRoped(lane.key(layer, h, lane.position), head(steps, at, shape.heads() + h), lane.position);
            assertThat(lane.value(layer, h, lane.position))
                    .containsExactly(Arrays.copyOfRange(values, h * shape.headDim, (h + 1) * shape.headDim));
            if (mode.usesImportance()) {
                float[] delta = Arrays.copyOfRange(steps.delta, h * values.length, (h + 1) * values.length);
                double expected = KernelReference.importance(values, delta, steps.a[h], steps.bias[h]);
                assertThat((double) lane.importance(layer, h, lane.position))
                        .isCloseTo(expected, within(1e-4 * (1 + Math.abs(expected))));
            }
        }
    }

    private static float[] head(DecodeSteps steps, int at, int head) {
        int from = at + head * steps.shape.headDim;
        return Arrays.copyOfRange(steps.qkv, from, from + steps.shape.headDim);
    }

    /** One step of BF16, and what F32 loses where the products of sine and cosine cancel. */
    static void assertRoped(float[] got, float[] head, int position) {
        float[] frequencies = new float[head.length / 2];
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] = (float) Math.pow(10000, -2.0 * i / head.length);
        }
        double[] expected = KernelReference.roped(head, position, frequencies, KernelShape.ROPE_SCALE);
        for (int i = 0; i < head.length; i++) {
            double size = Math.abs(head[i]) + Math.abs(head[(i + head.length / 2) % head.length]);
            assertThat((double) got[i])
                    .as("value %d at position %d", i, position)
                    .isCloseTo(expected[i], within(Math.abs(expected[i]) / 128 + 1e-5 * size));
        }
    }

    private static void appendCompletesWindowsExactly(DecodeSteps steps, int i, int layer) {
        KernelShape shape = steps.shape;
        AttentionMode mode = steps.mode;
        SparseConfig sparse = shape.sparse;
        DecodeLane lane = steps.lanes.get(i);
        for (int head = 0; lane != null && mode.isSparse() && head < shape.kvHeads; head++) {
            int last = WindowMath.windows(lane.position + 1, sparse) - 1;
            for (int w = Math.max(0, last - 1); w <= last; w++) {
                if (mode.usesQueryScores()) {
                    assertThat(steps.kv.windowKey(lane.row, layer, head, w))
                            .as("window %d at %d", w, lane.position)
                            .containsExactly(lane.windowKey(sparse, layer, head, w));
                }
                if (mode.usesImportance()) {
                    assertThat(steps.kv.windowImportance(lane.row, layer, head, w))
                            .isEqualTo(lane.windowImportance(sparse, layer, head, w));
                }
            }
        }
    }

    private static void scoresAreProductsWithVisibleWindowsAndTheirSums(DecodeSteps steps, int i, int layer) {
        KernelShape shape = steps.shape;
        AttentionMode mode = steps.mode;
        if (!mode.isSparse()) {
            return; // no scores
        }
        DecodeLane lane = steps.lanes.get(i);
        float[] logits = KernelBench.readFloats(steps.logits);
        float[] partial = KernelBench.readFloats(steps.partial);
        boolean scored = lane != null && mode.usesQueryScores() && !steps.isDense(lane.position);
        for (int h = 0; h < shape.heads(); h++) {
            int from = (i * shape.heads() + h) * steps.maxWindows;
            float[] own = Arrays.copyOfRange(logits, from, from + steps.maxWindows);
            if (scored) {
                assertScores(steps, i, layer, h, own, partial);
            } else {
                assertThat(own).containsOnly(Float.NaN);
            }
        }
    }

    private static void assertScores(DecodeSteps steps, int i, int layer, int head, float[] logits, float[] partial) {
        KernelShape shape = steps.shape;
        DecodeLane lane = steps.lanes.get(i);
        int group = head / shape.group;
        float[] query = query(steps, i, head);
        int windows = WindowMath.windows(lane.position + 1, shape.sparse);
        double scale = LOG2E / Math.sqrt(shape.headDim);
        for (int w = 0; w < windows; w++) {
            float[] key = steps.kv.windowKey(lane.row, layer, group, w);
            double size = 0;
            for (int d = 0; d < key.length; d++) {
                size += Math.abs(query[d] * key[d]);
            }
            assertThat((double) logits[w])
                    .as("window %d of %d at %d", w, windows, lane.position)
                    .isCloseTo(KernelReference.dot(query, key) * scale, within(1e-5 * size * scale + 1e-6));
        }
        int tiles = (windows + 15) / 16;
        for (int split = 0; split < DecodeSteps.SCORE_SPLITS; split++) {
            int first = tiles * split / DecodeSteps.SCORE_SPLITS * 16;
            int end = Math.min(tiles * (split + 1) / DecodeSteps.SCORE_SPLITS * 16, windows);
            int at =
                    ((i * shape.kvHeads + group) * DecodeSteps.SCORE_SPLITS + split) * shape.group + head % shape.group;
            float top = -1e30f;
            for (int w = first; w < end; w++) {
                top = Math.max(top, logits[w]);
            }
            double sum = 0;
            for (int w = first; w < end; w++) {
                sum += Math.pow(2, (double) logits[w] - top);
            }
            assertThat(partial[2 * at]).isEqualTo(top);
            assertThat((double) partial[2 * at + 1]).isCloseTo(sum, within(1e-5 * sum));
        }
    }

    static float[] query(DecodeSteps steps, int lane, int head) {
        float[] query = new float[steps.shape.headDim];
        short[] bits = new short[query.length];
        steps.queries.copyTo(2L * (lane * steps.shape.heads() + head) * query.length, bits);
        BFloat16.toFloat(bits, query, query.length);
        return query;
    }

    private static void selectedBlocksLieInTheirSlotsBitForBit(DecodeSteps steps, int i, int layer) {
        KernelShape shape = steps.shape;
        DecodeLane lane = steps.lanes.get(i);
        for (int head = 0; lane != null && head < shape.kvHeads; head++) {
            Lists lists = steps.lists(i, head);
            assertThat(steps.kv.slotBlocks(lane.row, layer, head))
                    .startsWith(lane.slotBlocks(layer, head, steps.kv.maxBlocks));
            for (int n = 0; n < lists.blocks().length; n++) {
                int block = lists.blocks()[n];
                for (int t = 0; t < KernelShape.BLOCK && block * KernelShape.BLOCK + t <= lane.position; t++) {
                    int token = block * KernelShape.BLOCK + t;
                    assertSame(steps.kv.key(lane.row, lists.slots()[n], layer, head, t), lane.key(layer, head, token));
                    assertSame(
                            steps.kv.value(lane.row, lists.slots()[n], layer, head, t), lane.value(layer, head, token));
                }
            }
        }
    }

    /** AssertJ looks at one value at a time, which takes minutes for all of a cache. */
    private static void assertSame(float[] actual, float[] expected) {
        if (!Arrays.equals(actual, expected)) {
            assertThat(actual).containsExactly(expected);
        }
    }

    private static void attentionInAnySplitsIsTheSoftmaxOverTheSelectedBlocks(DecodeSteps steps, int i, int layer) {
        Part[][] ways = {
            {new Part(2, 1)},
            {new Part(2, 5)},
            {new Part(0, 3), new Part(1, 2)},
            {new Part(0, 1), new Part(1, 1)},
            {new Part(0, 32), new Part(1, 2)}
        };
        DecodeLane lane = steps.lanes.get(i);
        if (lane != null) { // all lanes at once, each by its own turn
            int way = (lane.position + i) % ways.length;
            float[] got = steps.attend(layer, ways[way]);
            assertPaddingIsZero(steps, got);
            assertThat(KernelBench.readInts(steps.arrived)).containsOnly(0);
            assertAttention(steps, i, layer, got);
        }
    }

    private static void assertPaddingIsZero(DecodeSteps steps, float[] got) {
        int width = steps.shape.heads() * steps.shape.headDim;
        for (int i = 0; i < steps.lanes.size(); i++) {
            if (steps.lanes.get(i) == null) {
                assertThat(Arrays.copyOfRange(got, i * width, (i + 1) * width)).containsOnly(0);
            }
        }
    }

    private static void assertAttention(DecodeSteps steps, int i, int layer, float[] got) {
        DecodeLane lane = steps.lanes.get(i);
        KernelShape shape = steps.shape;
        int[][] tokens = IntStream.range(0, shape.kvHeads)
                .mapToObj(g -> Context.tokens(steps.lists(i, g).blocks(), lane.position))
                .toArray(int[][]::new);
        float[][] queries = IntStream.range(0, shape.heads())
                .mapToObj(h -> query(steps, i, h))
                .toArray(float[][]::new);
        IntStream.range(0, shape.heads()).parallel().forEach(h -> {
            int group = h / shape.group;
            Context context = new Context(
                    tokens[group],
                    t -> lane.key(layer, group, t),
                    t -> lane.value(layer, group, t),
                    t -> lane.importance(layer, group, t));
            int at = (i * shape.heads() + h) * shape.headDim;
            assertAttended(
                    Arrays.copyOfRange(got, at, at + shape.headDim), KernelReference.attend(queries[h], context));
        });
    }

    /** The numerators of the softmax are rounded to BF16 (1/256 each), and so is the quotient. */
    static void assertAttended(float[] got, Attended expected) {
        for (int d = 0; d < got.length; d++) {
            double tolerance = expected.weight()[d] / 200 + Math.abs(expected.output()[d]) / 128 + 1e-6;
            assertThat((double) got[d]).as("value %d", d).isCloseTo(expected.output()[d], within(tolerance));
        }
    }

    private static void finishedTailsGoToTheHostAndUnfinishedOnesDoNot(DecodeSteps steps, int i, int layer) {
        KernelShape shape = steps.shape;
        DecodeLane lane = steps.lanes.get(i);
        for (int head = 0; lane != null && head < shape.kvHeads; head++) {
            int finished = lane.position / KernelShape.BLOCK;
            for (int t = Math.max(0, (finished - 1) * KernelShape.BLOCK); t < finished * KernelShape.BLOCK; t++) {
                int block = t / KernelShape.BLOCK;
                assertSame(
                        steps.kv.hostKey(lane.row, block, layer, head, t % KernelShape.BLOCK),
                        lane.key(layer, head, t));
                assertSame(
                        steps.kv.hostValue(lane.row, block, layer, head, t % KernelShape.BLOCK),
                        lane.value(layer, head, t));
            }
            assertThat(steps.kv.hostKey(lane.row, finished, layer, head, 0)).containsOnly(Float.NaN);
        }
    }
}
