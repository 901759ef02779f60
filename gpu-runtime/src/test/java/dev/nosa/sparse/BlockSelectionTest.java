package dev.nosa.sparse;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class BlockSelectionTest {
    /** 1 first, 2 local and the current block are forced; 2 by the query; 8 in all. */
    private static final SparseConfig SMALL = new SparseConfig(16, 8, 4, 1, 2, 8, 2, 0);

    private static final int POSITION = 20 * 16 + 5;

    private static int[] select(SparseConfig config, AttentionMode mode, float[] query, float[] importance) {
        int[] selected = new int[64];
        int count = new BlockSelection(config, mode).select(POSITION, query, importance, selected);
        return Arrays.copyOf(selected, count);
    }

    private static float[] scores(int... best) {
        float[] scores = new float[21];
        for (int i = 0; i < best.length; i++) {
            scores[best[i]] = 10 - i;
        }
        return scores;
    }

    @Test
    void nosaTakesTheQuerysBlocksFirstAndFillsUpByImportance() {
        int[] selected = select(SMALL, AttentionMode.NOSA, scores(7, 9, 11), scores(9, 4, 5, 6));
        // forced 0, 18, 19, 20; the cut n_init + n_local + k_q = 5 leaves one to the query
        assertThat(selected).containsExactly(0, 4, 5, 7, 9, 18, 19, 20);
    }

    @Test
    void infllmTakesAllByTheQuery() {
        int[] selected = select(SMALL, AttentionMode.INFLLM_V2, scores(7, 9, 11, 3), null);
        assertThat(selected).containsExactly(0, 3, 7, 9, 11, 18, 19, 20);
    }

    @Test
    void dmaTakesAllByImportance() {
        int[] selected = select(SMALL, AttentionMode.DMA, null, scores(7, 9, 11, 3));
        assertThat(selected).containsExactly(0, 3, 7, 9, 11, 18, 19, 20);
    }

    @Test
    void fullTakesEverything() {
        assertThat(select(SMALL, AttentionMode.FULL, null, null))
                .containsExactly(IntStream.rangeClosed(0, 20).toArray());
    }

    @Test
    void amongEqualScoresTheLowestBlocksAreKept() {
        assertThat(select(SMALL, AttentionMode.NOSA, new float[21], new float[21]))
                .containsExactly(0, 1, 2, 3, 4, 18, 19, 20);
    }

    @Test
    void negativeZeroTiesWithZero() {
        float[] scores = new float[21];
        scores[1] = -0.0f;
        assertThat(select(SMALL, AttentionMode.DMA, null, scores)).containsExactly(0, 1, 2, 3, 4, 18, 19, 20);
    }

    @Test
    void forcedBlocksStayEvenIfTheQueryCutIsSmaller() {
        SparseConfig noQuery = new SparseConfig(16, 8, 4, 1, 2, 8, 0, 0);
        assertThat(select(noQuery, AttentionMode.NOSA, scores(7), scores(8, 9)))
                .contains(0, 18, 19, 20)
                .contains(8, 9)
                .doesNotContain(7);
    }

    @Test
    void positionsBelowTheDenseLengthAttendAllBlocks() {
        SparseConfig dense = new SparseConfig(16, 8, 4, 1, 2, 8, 2, 400);
        assertThat(select(dense, AttentionMode.NOSA, scores(7), scores(8))).hasSize(21);
    }

    @Test
    void agreesWithSortingOnRandomScoresWithManyTies() {
        Random random = new Random(11);
        for (int round = 0; round < 300; round++) {
            SparseConfig config =
                    new SparseConfig(16, 8, 4, random.nextInt(3), random.nextInt(4), 12, random.nextInt(6), 0);
            float[] query = ties(random);
            float[] importance = ties(random);
            TreeSet<Integer> expected = new TreeSet<>();
            IntStream.rangeClosed(0, 20).filter(b -> config.isForced(b, 20)).forEach(expected::add);
            addBest(expected, query, config.queryCut());
            addBest(expected, importance, config.topK());
            assertThat(select(config, AttentionMode.NOSA, query, importance))
                    .containsExactly(
                            expected.stream().mapToInt(Integer::intValue).toArray());
        }
    }

    private static float[] ties(Random random) {
        float[] scores = new float[21];
        for (int i = 0; i < scores.length; i++) {
            scores[i] = random.nextInt(5) - 2;
        }
        return scores;
    }

    private static void addBest(TreeSet<Integer> chosen, float[] scores, int size) {
        IntStream.rangeClosed(0, 20)
                .boxed()
                .filter(b -> !chosen.contains(b))
                .sorted(Comparator.comparing((Integer b) -> -scores[b]))
                .limit(Math.max(0, size - chosen.size()))
                .toList()
                .forEach(chosen::add);
    }
}
