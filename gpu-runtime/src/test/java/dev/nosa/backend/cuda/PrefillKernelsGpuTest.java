package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.nosa.backend.cuda.KernelReference.Attended;
import dev.nosa.backend.cuda.KernelReference.Context;
import dev.nosa.backend.cuda.PrefillSlices.Listed;
import dev.nosa.backend.cuda.PrefillSlices.Slice;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.BlockSelection;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.sparse.WindowMath;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The prefill kernels against Java, over a prompt in slices that end around the borders of tiles, windows and blocks. */
class PrefillKernelsGpuTest extends KernelGpuTest {
    private static final String SHAPES = "dev.nosa.backend.cuda.KernelShape#inEveryMode";
    private static final String SPARSE = "dev.nosa.backend.cuda.KernelShape#inSparseModes";

    /** What is looked at behind each slice. */
    private interface Check {
        void of(PrefillSlices prompt, Slice slice);
    }

    private static void everySlice(KernelShape shape, AttentionMode mode, Check check) {
        PrefillSlices prompt = new PrefillSlices(bench, shape, mode);
        int budget = shape.sparse.maxBudget() * KernelShape.BLOCK;
        int[] ends = {1, 64, 95, 96, budget - 20, budget + 107, budget + 108, budget + 258, shape.maxTokens() - 23};
        int start = 0;
        for (int end : ends) {
            Slice slice = prompt.run(start, end - start);
            check.of(prompt, slice);
            start = end;
        }
    }

    @ParameterizedTest
    @MethodSource(SHAPES)
    void appendTurnsQueriesAndKeysAndTakesInValuesAndImportance(KernelShape shape, AttentionMode mode) {
        everySlice(shape, mode, (prompt, slice) -> {
            int width = shape.kvHeads * shape.headDim;
            for (int t = 0; t < slice.count(); t++) {
                int position = slice.start() + t;
                for (int h = 0; h < shape.heads(); h++) {
                    DecodeKernelsGpuTest.assertRoped(slice.query(t, h), slice.projected(t, h), position);
                }
                float[] values = new float[width];
                for (int h = 0; h < shape.kvHeads; h++) {
                    float[] value = slice.projected(t, shape.heads() + shape.kvHeads + h);
                    System.arraycopy(value, 0, values, h * shape.headDim, shape.headDim);
                    assertThat(prompt.value(h, position)).containsExactly(value);
                    DecodeKernelsGpuTest.assertRoped(
                            prompt.key(h, position), slice.projected(t, shape.heads() + h), position);
                }
                for (int h = 0; mode.usesImportance() && h < shape.kvHeads; h++) {
                    double expected = KernelReference.importance(
                            values,
                            Arrays.copyOfRange(prompt.delta, h * width, (h + 1) * width),
                            prompt.a[h],
                            prompt.bias[h]);
                    assertThat((double) prompt.importance(h, position))
                            .isCloseTo(expected, within(1e-4 * (1 + Math.abs(expected))));
                }
            }
        });
    }

    @ParameterizedTest
    @MethodSource(SPARSE)
    void compressCompletesTheSlicesWindowsExactly(KernelShape shape, AttentionMode mode) {
        everySlice(shape, mode, (prompt, slice) -> {
            for (int head = 0; head < shape.kvHeads; head++) {
                int h = head;
                for (int w = 0; w < WindowMath.windows(slice.end(), shape.sparse); w++) {
                    if (mode.usesQueryScores()) {
                        assertThat(prompt.windowKey(head, w))
                                .as("window %d after %d tokens", w, slice.end())
                                .containsExactly(KernelReference.windowKey(shape.sparse, w, t -> prompt.key(h, t)));
                    }
                    if (mode.usesImportance()) {
                        assertThat(prompt.windowImportance(head, w))
                                .isEqualTo(KernelReference.windowImportance(
                                        shape.sparse, w, t -> prompt.importance(h, t)));
                    }
                }
            }
        });
    }

    /**
     * Scores are sums of shares of a softmax of products of BF16 numbers: F32 sums put each product off by some 1e-6 of its size,
     * and a share by as much as its exponent.
     */
    @ParameterizedTest
    @MethodSource(SPARSE)
    void scoresAreThePooledSumsOfTheQueryHeadsSoftmax(KernelShape shape, AttentionMode mode) {
        everySlice(shape, mode, (prompt, slice) -> {
            for (int t = 0; mode.usesQueryScores() && t < slice.count(); t += t % 7 + 1) {
                int position = slice.start() + t;
                int choosable = position / KernelShape.BLOCK - shape.sparse.localBlocks();
                for (int head = 0; !prompt.isDense(position) && head < shape.kvHeads; head++) {
                    float[] windows = windowScores(prompt, slice, t, head);
                    float[] expected = KernelReference.pooled(shape.sparse, position, 0, w -> windows[w]);
                    for (int b = 0; b < choosable; b++) {
                        assertThat((double) slice.score(t, head, b))
                                .as("block %d of head %d at %d", b, head, position)
                                .isCloseTo(expected[b], within(1e-4 * expected[b] + 1e-12));
                    }
                }
            }
        });
    }

    private static float[] windowScores(PrefillSlices prompt, Slice slice, int t, int head) {
        KernelShape shape = prompt.shape;
        double[] scores = new double[WindowMath.windows(slice.start() + t + 1, shape.sparse)];
        for (int g = 0; g < shape.group; g++) {
            float[] query = slice.query(t, head * shape.group + g);
            double[] logits = IntStream.range(0, scores.length)
                    .mapToDouble(w -> KernelReference.dot(query, prompt.windowKey(head, w)) / Math.sqrt(shape.headDim))
                    .toArray();
            double top = Arrays.stream(logits).max().orElse(0);
            double sum = Arrays.stream(logits)
                    .map(x -> Math.exp(Math.max(x - top, -80)))
                    .sum();
            for (int w = 0; w < scores.length; w++) {
                scores[w] += Math.exp(Math.max(logits[w] - top, -80)) / sum;
            }
        }
        float[] rounded = new float[scores.length];
        for (int w = 0; w < scores.length; w++) {
            rounded[w] = (float) scores[w];
        }
        return rounded;
    }

    @ParameterizedTest
    @MethodSource(SPARSE)
    void selectionOfTheGivenScoresIsThatOfBlockSelection(KernelShape shape, AttentionMode mode) {
        BlockSelection selection = new BlockSelection(shape.sparse, mode);
        everySlice(shape, mode, (prompt, slice) -> {
            for (int t = 0; t < slice.count(); t++) {
                int position = slice.start() + t;
                int blocks = position / KernelShape.BLOCK + 1;
                for (int head = 0; head < shape.kvHeads; head++) {
                    int h = head;
                    float[] importance = mode.usesImportance()
                            ? KernelReference.pooled(
                                    shape.sparse, position, Float.NEGATIVE_INFINITY, w -> prompt.windowImportance(h, w))
                            : new float[blocks];
                    float[] scores = new float[blocks];
                    for (int b = 0; mode.usesQueryScores() && b < blocks; b++) {
                        scores[b] = slice.score(t, head, b);
                    }
                    int[] selected = new int[blocks];
                    int count = selection.select(position, scores, importance, selected);
                    assertThat(slice.selected(t, head))
                            .as("head %d at %d", head, position)
                            .containsExactly(Arrays.copyOf(selected, count));
                }
            }
        });
    }

    @ParameterizedTest
    @MethodSource(SPARSE)
    void listsAreTheBlocksOfEachTileAndSayWhoSelectedThem(KernelShape shape, AttentionMode mode) {
        everySlice(shape, mode, (prompt, slice) -> {
            int capacity = 128 / shape.group;
            for (int tile = 0; tile * capacity < slice.count(); tile++) {
                int first = tile * capacity;
                int queries = Math.min(capacity, slice.count() - first);
                for (int head = 0; head < shape.kvHeads; head++) {
                    if (!prompt.isDense(slice.start() + first + queries - 1)) {
                        assertThat(slice.listed(tile, head))
                                .isEqualTo(expectedList(prompt, slice, first, queries, head));
                    }
                }
            }
        });
    }

    private static List<Listed> expectedList(PrefillSlices prompt, Slice slice, int first, int queries, int head) {
        int group = prompt.shape.group;
        List<Listed> all = new ArrayList<>();
        for (int block = 0; block * KernelShape.BLOCK < slice.end(); block++) {
            int b = block;
            int[] masks = new int[4];
            for (int query = 0; query < queries; query++) {
                if (Arrays.stream(slice.selected(first + query, head)).anyMatch(other -> other == b)) {
                    for (int warp = 0; warp < 4; warp++) {
                        int from = warp * 32 / group;
                        masks[warp] |= query >= from && query <= (warp * 32 + 31) / group ? 1 << (query - from) : 0;
                    }
                }
            }
            if (Arrays.stream(masks).anyMatch(mask -> mask != 0)) {
                long importance = prompt.mode.usesImportance() ? prompt.importanceAddress(head, b) : 0;
                all.add(new Listed(
                        b,
                        prompt.page(b),
                        importance,
                        Arrays.stream(masks).boxed().toList()));
            }
        }
        return all;
    }

    @ParameterizedTest
    @MethodSource(SHAPES)
    void attentionIsTheSoftmaxOverEachQuerysBlocks(KernelShape shape, AttentionMode mode) {
        everySlice(
                shape,
                mode,
                (prompt, slice) -> IntStream.range(0, slice.count())
                        .filter(t -> t % 5 == 0 || t == slice.count() - 1)
                        .parallel()
                        .forEach(t -> {
                            int position = slice.start() + t;
                            for (int h = 0; h < shape.heads(); h++) {
                                int group = h / shape.group;
                                int[] blocks = prompt.isDense(position)
                                        ? IntStream.rangeClosed(0, position / KernelShape.BLOCK)
                                                .toArray()
                                        : slice.selected(t, group);
                                Attended expected = KernelReference.attend(
                                        slice.query(t, h),
                                        new Context(
                                                Context.tokens(blocks, position),
                                                token -> prompt.key(group, token),
                                                token -> prompt.value(group, token),
                                                token -> mode.usesImportance() ? prompt.importance(group, token) : 0f));
                                DecodeKernelsGpuTest.assertAttended(slice.attended(t, h), expected);
                            }
                        }));
    }

    /** The pools of many blocks with equal importance, and the paths for more than 256, 512 and 1,024 blocks. */
    @ParameterizedTest
    @ValueSource(ints = {250, 257, 513, 1025, 2048})
    void selectionAmongManyBlocksIsThatOfBlockSelectionTiesIncluded(int blocks) {
        KernelShape shape = KernelShape.D64_GROUP_4_WINDOW_OF_A_BLOCK;
        SparseConfig sparse = shape.sparse;
        int count = 65;
        int start = blocks * KernelShape.BLOCK - count;
        PrefillSlices prompt = PrefillSlices.forSelection(bench, shape, AttentionMode.NOSA, start + count);
        Slice slice = prompt.select(start, count);
        BlockSelection selection = new BlockSelection(sparse, AttentionMode.NOSA);
        for (int t = 0; t < count; t++) {
            for (int head = 0; head < shape.kvHeads; head++) {
                int h = head;
                float[] scores = new float[blocks];
                for (int b = 0; b < blocks; b++) {
                    scores[b] = slice.score(t, head, b);
                }
                float[] importance = KernelReference.pooled(
                        sparse, start + t, Float.NEGATIVE_INFINITY, w -> prompt.windowImportance(h, w));
                int[] selected = new int[blocks];
                int chosen = selection.select(start + t, scores, importance, selected);
                assertThat(slice.selected(t, head)).containsExactly(Arrays.copyOf(selected, chosen));
            }
        }
    }
}
