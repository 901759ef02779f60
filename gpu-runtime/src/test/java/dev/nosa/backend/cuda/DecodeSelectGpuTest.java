package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.backend.cuda.DecodeSteps.Lists;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.BlockSelection;
import dev.nosa.sparse.SlotTable;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.sparse.WindowMath;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * decode_select held to BlockSelection and SlotTable, with no tolerance.
 *
 * <p>Logits are whole numbers of powers of two at most 12 below the largest, and each query head's sum is a power of two, so the
 * scores of windows are sums of powers of two that F32 holds exactly, whatever their order: the kernel's scores are those that
 * Java computes, and ties, which are many, are ties on both sides. (ex2.approx of a whole number is exact.) A logit that is far
 * below the largest makes the floor count; its share is lost beside any other, and alike wherever there is no other.
 */
class DecodeSelectGpuTest extends KernelGpuTest {
    private static final int LAYER = 1;
    private static final int STEPS = 70;
    private static final int SPLITS = 5;
    private static final int SPREAD = 12;
    private static final float FAR_BELOW = -300;

    private final Random random = new Random(17);

    /** Shapes and modes, each with the fewest slots, twice the budget, and all. */
    static Stream<Arguments> inEveryModeAndSlots() {
        return KernelShape.inEveryMode().flatMap(arguments -> {
            KernelShape shape = (KernelShape) arguments.get()[0];
            int budget = shape.sparse.maxBudget();
            return IntStream.of(budget + 1, 2 * budget, budget + 7)
                    .mapToObj(slots -> Arguments.of(shape, arguments.get()[1], slots));
        });
    }

    @ParameterizedTest
    @MethodSource("inEveryModeAndSlots")
    void manyStepsSelectAndPlaceBlocksAsJava(KernelShape shape, AttentionMode mode, int slots) {
        int budget = shape.sparse.maxBudget() * KernelShape.BLOCK;
        DecodeSteps steps = DecodeSteps.withoutContents(
                bench,
                shape,
                mode,
                slots,
                shape.maxTokens(),
                0,
                63,
                Math.max(150, shape.sparse.denseLength() - 20),
                budget - 70,
                budget + 100,
                budget + 127);
        run(steps, STEPS);
    }

    /** Two sequences of up to 131,072 tokens, so that every thread has up to four blocks. */
    @ParameterizedTest
    @MethodSource("longSequences")
    void longSequencesSelectAndPlaceBlocksAsJava(KernelShape shape, AttentionMode mode, int blocks, int slots) {
        int last = blocks * KernelShape.BLOCK;
        run(
                DecodeSteps.withoutContents(
                        bench, shape, mode, slots, last, last - 70, last - 9 * KernelShape.BLOCK - 3),
                70);
    }

    static Stream<Arguments> longSequences() {
        return Stream.of(
                Arguments.of(KernelShape.D64_GROUP_1, AttentionMode.NOSA, 256, 6),
                Arguments.of(KernelShape.D64_GROUP_1, AttentionMode.NOSA, 258, 258),
                Arguments.of(KernelShape.D64_GROUP_16_DENSE_START, AttentionMode.INFLLM_V2, 520, 8),
                Arguments.of(KernelShape.D64_GROUP_4_WINDOW_OF_A_BLOCK, AttentionMode.DMA, 1030, 300),
                Arguments.of(KernelShape.D64_GROUP_4_WINDOW_OF_A_BLOCK, AttentionMode.NOSA, 2048, 2048),
                Arguments.of(KernelShape.D64_GROUP_4_WINDOW_OF_A_BLOCK, AttentionMode.FULL, 2048, 2048));
    }

    private void run(DecodeSteps steps, int count) {
        int lanes = steps.lanes.size();
        int heads = steps.shape.heads();
        float[] logits = new float[lanes * heads * steps.maxWindows];
        float[] tops = new float[lanes * heads];
        float[] sums = new float[tops.length];
        for (int i = 0; i < tops.length; i++) {
            tops[i] = random.nextInt(40) - 20;
            sums[i] = 1 << random.nextInt(5);
        }
        for (int i = 0; i < logits.length; i++) {
            logits[i] = logit(tops[i / steps.maxWindows]);
        }
        long[] counters = new long[2 * lanes];
        for (int step = 0; step < count; step++) {
            for (int n = 0; n < logits.length / 20; n++) {
                int i = random.nextInt(logits.length);
                logits[i] = logit(tops[i / steps.maxWindows]);
            }
            steps.logits.copyFrom(0, logits);
            DeviceBuffer partial = bench.floats(partials(steps, tops, sums));
            steps.begin();
            steps.append(LAYER);
            float[][][] importance = importance(steps);
            steps.select(LAYER, partial, SPLITS, -1);
            List<int[]> work = new ArrayList<>();
            for (int lane = 0; lane < lanes; lane++) {
                for (int head = 0; steps.lanes.get(lane) != null && head < steps.shape.kvHeads; head++) {
                    float[] windows = windowScores(steps, lane, head, logits, tops, sums);
                    int[] expected = select(steps, steps.lanes.get(lane), windows, importance[lane][head]);
                    place(steps, lane, head, expected, work, counters);
                }
            }
            assertThat(workOf(steps))
                    .containsExactlyInAnyOrderElementsOf(
                            work.stream().map(Arrays::toString).toList());
            assertThat(longs(steps.counters)).containsExactly(counters);
            steps.advance();
            partial.close();
        }
    }

    private float logit(float top) {
        int kind = random.nextInt(40);
        return kind == 0 ? FAR_BELOW : top - random.nextInt(SPREAD + 1);
    }

    /** The tops and sums in parts that give them exactly: one part is empty, the others share the sum. */
    private static float[] partials(DecodeSteps steps, float[] tops, float[] sums) {
        int group = steps.shape.group;
        float[] parts = new float[2 * tops.length * SPLITS];
        for (int i = 0; i < tops.length; i++) {
            for (int split = 0; split < SPLITS; split++) {
                int at = 2 * ((i / group * SPLITS + split) * group + i % group);
                boolean empty = split == i % SPLITS;
                int below = split == (i + 1) % SPLITS ? 0 : split;
                parts[at] = empty ? -1e30f : tops[i] - below;
                parts[at + 1] = empty ? 0 : sums[i] / 4 * (1 << below);
            }
        }
        return parts;
    }

    private static float[] windowScores(
            DecodeSteps steps, int lane, int head, float[] logits, float[] tops, float[] sums) {
        int windows = WindowMath.windows(steps.lanes.get(lane).position + 1, steps.shape.sparse);
        float[] scores = new float[steps.mode.usesQueryScores() ? windows : 0];
        float floor = (float) (-80 / Math.log(2));
        for (int w = 0; w < scores.length; w++) {
            for (int g = 0; g < steps.shape.group; g++) {
                int query = lane * steps.shape.heads() + head * steps.shape.group + g;
                float x = Math.max(logits[query * steps.maxWindows + w] - tops[query], floor);
                scores[w] += (float) Math.pow(2, x) / sums[query];
            }
        }
        return scores;
    }

    /** Gives all windows importance from few values, zeros of both signs among them, and returns what is there. */
    private float[][][] importance(DecodeSteps steps) {
        float[][][] all = new float[steps.lanes.size()][steps.shape.kvHeads][0];
        if (!steps.mode.usesImportance()) {
            return all;
        }
        for (int i = 0; i < all.length; i++) {
            DecodeLane lane = steps.lanes.get(i);
            for (int head = 0; lane != null && head < steps.shape.kvHeads; head++) {
                float[] values = new float[WindowMath.windows(lane.position + 1, steps.shape.sparse)];
                for (int w = 0; w < values.length; w++) { // depends on the window alone, as in a sequence
                    int hash = (w * 31 + head) * 0x9e3779b1 + lane.row * 7919;
                    values[w] = (hash >>> 16) % 9 == 0 ? -0f : ((hash >>> 8) % 9 - 4) / 4f;
                }
                for (int w = 0; w < values.length; w += steps.kv.windowRun()) {
                    int end = Math.min(w + steps.kv.windowRun(), values.length);
                    steps.kv.writeWindowImportance(lane.row, LAYER, head, w, Arrays.copyOfRange(values, w, end));
                }
                all[i][head] = values;
            }
        }
        return all;
    }

    private static int[] select(DecodeSteps steps, DecodeLane lane, float[] windows, float[] importance) {
        SparseConfig sparse = steps.shape.sparse;
        float[] queryScores =
                KernelReference.pooled(sparse, lane.position, 0, w -> w < windows.length ? windows[w] : 0f);
        float[] importanceScores = KernelReference.pooled(
                sparse, lane.position, Float.NEGATIVE_INFINITY, w -> w < importance.length ? importance[w] : 0f);
        int[] selected = new int[lane.position / KernelShape.BLOCK + 1];
        int count =
                new BlockSelection(sparse, steps.mode).select(lane.position, queryScores, importanceScores, selected);
        return Arrays.copyOf(selected, count);
    }

    /** Compares one list, and the slots behind it, with SlotTable. */
    private static void place(DecodeSteps steps, int i, int head, int[] expected, List<int[]> work, long[] counters) {
        DecodeLane lane = steps.lanes.get(i);
        SlotTable table = lane.table(LAYER, head);
        if (lane.position % KernelShape.BLOCK == 0) {
            table.openTail(lane.position / KernelShape.BLOCK);
        }
        int[] resident = Arrays.stream(expected).filter(table::isResident).toArray();
        int[] missing = new int[expected.length];
        int misses = table.fetch(expected, expected.length, missing);
        int[] order = IntStream.concat(Arrays.stream(resident), Arrays.stream(missing, 0, misses))
                .toArray();
        Lists lists = steps.lists(i, head);
        assertThat(lists.blocks()).as("row %d at %d", lane.row, lane.position).containsExactly(order);
        assertThat(lists.hits()).isEqualTo(resident.length);
        assertThat(lists.slots())
                .containsExactly(Arrays.stream(order).map(table::slot).toArray());
        assertThat(Arrays.copyOf(steps.kv.slotBlocks(lane.row, LAYER, head), lane.slots))
                .containsExactly(lane.slotBlocks(LAYER, head, steps.kv.maxBlocks));
        for (int n = 0; n < misses; n++) {
            work.add(new int[] {i, head, missing[n], table.slot(missing[n])});
        }
        counters[2 * i] += expected.length;
        counters[2 * i + 1] += misses;
    }

    private static List<String> workOf(DecodeSteps steps) {
        int[] entries = KernelBench.readInts(steps.worklist);
        return IntStream.range(0, KernelBench.readInts(steps.workCount)[0])
                .mapToObj(n -> Arrays.toString(Arrays.copyOfRange(entries, 4 * n, 4 * n + 4)))
                .toList();
    }

    private static long[] longs(DeviceBuffer buffer) {
        long[] values = new long[(int) (buffer.bytes() / Long.BYTES)];
        buffer.copyTo(0, values);
        return values;
    }

    static Stream<Arguments> turnovers() {
        return KernelShape.inSparseModes()
                .flatMap(arguments -> Stream.of(0, 1, 2)
                        .map(turnover ->
                                Arguments.of(arguments.get()[0], arguments.get()[1], turnover)));
    }

    @ParameterizedTest
    @MethodSource("turnovers")
    void aTurnoverReplacesSoManyBlocksAndKeepsTheForcedOnes(KernelShape shape, AttentionMode mode, int turnover) {
        SparseConfig sparse = shape.sparse;
        int start = (sparse.maxBudget() + 4) * KernelShape.BLOCK;
        DecodeSteps steps = DecodeSteps.withoutContents(
                bench, shape, mode, sparse.maxBudget() + 1, shape.maxTokens(), start, start + 32);
        int[][][] before = new int[steps.lanes.size()][shape.kvHeads][];
        for (int step = 0; step < 100; step++) {
            steps.begin();
            steps.append(LAYER);
            steps.select(LAYER, steps.partial, DecodeSteps.SCORE_SPLITS, turnover);
            for (int i = 0; i < before.length; i++) {
                DecodeLane lane = steps.lanes.get(i);
                for (int head = 0; lane != null && head < shape.kvHeads; head++) {
                    int[] blocks = steps.lists(i, head).blocks();
                    int current = lane.position / KernelShape.BLOCK;
                    assertThat(blocks).hasSize(sparse.topK()).doesNotHaveDuplicates();
                    assertThat(Arrays.stream(blocks).filter(b -> sparse.isForced(b, current)))
                            .hasSize(sparse.initBlocks() + sparse.localBlocks() + 1);
                    if (before[i][head] != null && lane.position % KernelShape.BLOCK != 0) {
                        List<Integer> old =
                                Arrays.stream(before[i][head]).boxed().toList();
                        int free = sparse.topK() - sparse.initBlocks() - sparse.localBlocks() - 1;
                        assertThat(Arrays.stream(blocks).filter(b -> !old.contains(b)))
                                .hasSize(Math.min(turnover, free));
                    }
                    before[i][head] = blocks;
                }
            }
            steps.advance();
        }
    }
}
