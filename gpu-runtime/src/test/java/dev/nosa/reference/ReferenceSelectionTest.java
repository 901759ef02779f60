package dev.nosa.reference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import java.util.Arrays;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

/** The reference's own selection against cases worked out by hand. */
class ReferenceSelectionTest {
    private static final Offset<Double> EXACT = within(1e-12);
    private static final double NONE = Double.NEGATIVE_INFINITY;

    /** Blocks of 16, windows of 8 every 4; 1 initial and 1 local block, k = 6, k_q = 2. */
    private static final SparseConfig SPARSE = new SparseConfig(16, 8, 4, 1, 1, 6, 2, 0);

    private static final int IN_BLOCK_9 = 150;

    private final ReferenceSelection nosa = new ReferenceSelection(AttentionMode.NOSA, SPARSE);

    @Test
    void aWindowIsVisibleFromItsLastTokenOn() {
        assertThat(nosa.visibleWindows(0)).isZero();
        assertThat(nosa.visibleWindows(6)).isZero();
        assertThat(nosa.visibleWindows(7)).isEqualTo(1);
        assertThat(nosa.visibleWindows(10)).isEqualTo(1);
        assertThat(nosa.visibleWindows(11)).isEqualTo(2);
    }

    @Test
    void aCompressedKeyIsTheMeanOfItsWindow() {
        double[][] tokens = new double[14][];
        for (int t = 0; t < tokens.length; t++) {
            tokens[t] = new double[] {t, -2 * t};
        }
        double[][] means = nosa.windowMeans(tokens);
        assertThat(means).hasDimensions(2, 2);
        assertThat(means[0]).containsExactly(new double[] {3.5, -7}, EXACT);
        assertThat(means[1]).containsExactly(new double[] {7.5, -15}, EXACT);
    }

    @Test
    void windowScoresAreSoftmaxesSummedOverTheGroup() {
        double[][] queries = {{Math.sqrt(2) * Math.log(3), 0}, {0, 5}};
        double[][] compressedKeys = {{1, 0}, {0, 0}, {100, 100}};
        double[] scores = ReferenceSelection.windowScores(queries, compressedKeys, 2);
        assertThat(scores).containsExactly(new double[] {0.75 + 0.5, 0.25 + 0.5}, EXACT);
    }

    @Test
    void aBlockPoolsItsWindowsAndTheOneBefore() {
        double[] windows = {1, 0, 0, 7, 0, 0, 0, 2, 3};
        assertThat(nosa.blockScores(windows, 40, 0)).containsExactly(7, 7, 3);
    }

    @Test
    void aWindowThatIsNotCompleteDoesNotCount() {
        double[] windows = {1, 2, 3, 9};
        assertThat(nosa.blockScores(windows, 18, NONE)).containsExactly(3, NONE);
        assertThat(nosa.blockScores(windows, 19, NONE)).containsExactly(9, 9);
    }

    @Test
    void poolingKeepsNegativeImportance() {
        assertThat(nosa.blockScores(new double[] {-3, -2, -4}, 15, NONE)).containsExactly(-2);
    }

    @Test
    void queryScoreFillsTheFirstCutAndImportanceTheRest() {
        double[] query = {0, .1, .9, .2, .3, .1, .1, .1, 0, 0};
        double[] importance = {0, 1, 9, 2, 3, 8, 4, 5, 0, 0};
        // Forced: 0, 8, 9. First cut of 4: and 2. Then importance: 5 (8) and 7 (5).
        assertThat(nosa.choose(IN_BLOCK_9, query, importance).blocks()).containsExactly(0, 2, 5, 7, 8, 9);
    }

    @Test
    void theLowestIndexWinsAmongEqualsAtBothCuts() {
        double[] query = {0, .1, .1, .4, .4, .1, .1, .1, 0, 0};
        double[] importance = {0, 1, 5, 7, 7, 5, 5, 1, 0, 0};
        ReferenceSelection.Choice choice = nosa.choose(IN_BLOCK_9, query, importance);
        assertThat(choice.blocks()).containsExactly(0, 2, 3, 4, 8, 9);
        assertThat(choice.margin()).isEqualTo(0.4 - 0.1, EXACT);
    }

    @Test
    void marginIsTheSmallestGapAtEitherCut() {
        double[] query = {0, .1, .9, .7, .3, .1, .1, .1, 0, 0};
        double[] importance = {0, 1, 9, 2, 3, 8, 4.875, 5, 0, 0};
        assertThat(nosa.choose(IN_BLOCK_9, query, importance).margin()).isEqualTo(5 - 4.875, EXACT);
        importance[6] = 0;
        assertThat(nosa.choose(IN_BLOCK_9, query, importance).margin()).isEqualTo(0.9 - 0.7, EXACT);
    }

    @Test
    void initialBlocksThatAreLocalTooLeaveRoomForTheQuery() {
        ReferenceSelection selection =
                new ReferenceSelection(AttentionMode.NOSA, new SparseConfig(16, 8, 4, 3, 1, 5, 1, 0));
        double[] query = {0, 0, 0, .1, .2, 0};
        // In block 5 the forced blocks are 0, 1, 2, 4 and 5: the whole budget. With one initial block fewer, one is
        // free.
        assertThat(selection.choose(5 * 16, query, query).blocks()).containsExactly(0, 1, 2, 4, 5);
        ReferenceSelection overlapping =
                new ReferenceSelection(AttentionMode.NOSA, new SparseConfig(16, 8, 4, 5, 2, 8, 1, 0));
        double[] importance = {0, 0, 0, 0, 0, 1, 0, 0, 0};
        assertThat(overlapping.choose(6 * 16, query, importance).blocks()).containsExactly(0, 1, 2, 3, 4, 5, 6);
    }

    @Test
    void noQueryBudgetStillKeepsEveryForcedBlock() {
        ReferenceSelection selection =
                new ReferenceSelection(AttentionMode.NOSA, new SparseConfig(16, 8, 4, 1, 1, 4, 0, 0));
        double[] query = {0, .9, .8, 0, 0, 0, 0, 0, 0, 0};
        double[] importance = {0, 0, 0, 0, 6, 0, 0, 0, 0, 0};
        assertThat(selection.choose(IN_BLOCK_9, query, importance).blocks()).containsExactly(0, 4, 8, 9);
    }

    @Test
    void infllmIgnoresImportanceAndDmaTheQuery() {
        double[] query = {0, .5, .6, .7, .1, .1, .1, .1, 0, 0};
        double[] importance = {0, 1, 1, 1, 5, 6, 7, 1, 0, 0};
        assertThat(new ReferenceSelection(AttentionMode.INFLLM_V2, SPARSE)
                        .choose(IN_BLOCK_9, query, new double[0])
                        .blocks())
                .containsExactly(0, 1, 2, 3, 8, 9);
        assertThat(new ReferenceSelection(AttentionMode.DMA, SPARSE)
                        .choose(IN_BLOCK_9, new double[0], importance)
                        .blocks())
                .containsExactly(0, 4, 5, 6, 8, 9);
    }

    @Test
    void everyCausalBlockIsKeptUpToKBlocksInModeFullAndBelowDenseLength() {
        double[] scores = new double[10];
        assertThat(nosa.choose(95, scores, scores).blocks()).containsExactly(0, 1, 2, 3, 4, 5);
        assertThat(nosa.choose(96, scores, scores).blocks()).hasSize(6);
        int[] all = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
        assertThat(new ReferenceSelection(AttentionMode.FULL, SPARSE)
                        .choose(IN_BLOCK_9, scores, scores)
                        .blocks())
                .containsExactly(all);
        SparseConfig dense = new SparseConfig(16, 8, 4, 1, 1, 6, 2, 151);
        ReferenceSelection selection = new ReferenceSelection(AttentionMode.NOSA, dense);
        assertThat(selection.choose(150, scores, scores).blocks()).containsExactly(all);
        assertThat(selection.choose(151, scores, scores).blocks()).hasSize(6);
    }

    @Test
    void blocksWithoutACompleteWindowRankLastLowestIndexFirst() {
        double[] importance = new double[10];
        Arrays.fill(importance, NONE);
        importance[7] = -50;
        ReferenceSelection dma = new ReferenceSelection(AttentionMode.DMA, SPARSE);
        ReferenceSelection.Choice choice = dma.choose(IN_BLOCK_9, new double[0], importance);
        assertThat(choice.blocks()).containsExactly(0, 1, 2, 7, 8, 9);
        assertThat(choice.margin()).isInfinite();
    }
}
