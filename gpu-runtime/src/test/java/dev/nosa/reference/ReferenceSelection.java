package dev.nosa.reference;

import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import java.util.Arrays;

/**
 * Steps 3 to 7 of the NOSA specification, section 2, for one query of one KV head, as plain loops in double precision.
 *
 * <p>A window counts for a query at position i only when it is complete there (i >= s * j + w - 1), for the query-aware
 * score and for the importance alike. For the importance that is visible only where w - s > n_local * bs + 1, n_local = 0
 * first of all: otherwise every window of a block that is not forced is complete.
 */
final class ReferenceSelection {
    private final AttentionMode mode;
    private final SparseConfig sparse;

    ReferenceSelection(AttentionMode mode, SparseConfig sparse) {
        this.mode = mode;
        this.sparse = sparse;
    }

    /**
     * Selected blocks, ascending.
     *
     * @param margin smallest difference, at either cut, between a score kept and one left; an implementation in another
     *     precision may choose otherwise where it is tiny. Equal scores do not count, index order decides them: neighbours
     *     that share their best window, and blocks without a complete window, are equal in every precision
     */
    record Choice(int[] blocks, double margin) {}

    /** Windows that are complete at {@code position}. */
    int visibleWindows(int position) {
        int visible = 0;
        while (position >= sparse.stride() * visible + sparse.window() - 1) {
            visible++;
        }
        return visible;
    }

    /** Step 3: the mean of {@code perToken[t]} over each complete window of the sequence. */
    double[][] windowMeans(double[][] perToken) {
        double[][] means = new double[visibleWindows(perToken.length - 1)][];
        for (int j = 0; j < means.length; j++) {
            means[j] = new double[perToken[0].length];
            for (int t = sparse.stride() * j; t < sparse.stride() * j + sparse.window(); t++) {
                for (int d = 0; d < means[j].length; d++) {
                    means[j][d] += perToken[t][d] / sparse.window();
                }
            }
        }
        return means;
    }

    /** Step 4: for each visible window, the softmax of q . ck / sqrt(D), summed over the query heads. */
    static double[] windowScores(double[][] queryHeads, double[][] compressedKeys, int visible) {
        double[] scores = new double[visible];
        for (double[] query : queryHeads) {
            double[] logits = new double[visible];
            for (int j = 0; j < visible; j++) {
                logits[j] = ReferenceMath.dot(query, compressedKeys[j]) / Math.sqrt(query.length);
            }
            ReferenceMath.softmax(logits);
            for (int j = 0; j < visible; j++) {
                scores[j] += logits[j];
            }
        }
        return scores;
    }

    /**
     * Step 5: the largest of the visible windows that start in block b or one stride before it, for every block up to
     * the one of {@code position}.
     *
     * @param windows one value a window, the visible ones first
     * @param none score of a block without a visible window
     */
    double[] blockScores(double[] windows, int position, double none) {
        int visible = Math.min(windows.length, visibleWindows(position));
        int windowsPerBlock = sparse.blockSize() / sparse.stride();
        double[] scores = new double[position / sparse.blockSize() + 1];
        Arrays.fill(scores, none);
        for (int b = 0; b < scores.length; b++) {
            int first = windowsPerBlock * b - 1;
            for (int j = Math.max(first, 0); j < Math.min(first + windowsPerBlock + 1, visible); j++) {
                scores[b] = j == Math.max(first, 0) ? windows[j] : Math.max(scores[b], windows[j]);
            }
        }
        return scores;
    }

    /** Step 6. */
    boolean isForced(int b, int current) {
        return b < sparse.initBlocks() || (current - sparse.localBlocks() <= b && b <= current);
    }

    /** Steps 6 and 7; a mode that does not use one of the scores does not read it. */
    Choice choose(int position, double[] queryScores, double[] importanceScores) {
        int current = position / sparse.blockSize();
        boolean[] taken = new boolean[current + 1];
        boolean dense = mode == AttentionMode.FULL || position < sparse.denseLength() || current + 1 <= sparse.topK();
        for (int b = 0; b <= current; b++) {
            taken[b] = dense || isForced(b, current);
        }
        double margin = Double.POSITIVE_INFINITY;
        if (!dense && mode == AttentionMode.INFLLM_V2) {
            margin = take(taken, queryScores, sparse.topK());
        } else if (!dense && mode == AttentionMode.DMA) {
            margin = take(taken, importanceScores, sparse.topK());
        } else if (!dense) {
            int firstCut = sparse.initBlocks() + sparse.localBlocks() + sparse.topKQuery();
            double marginOfFirst = take(taken, queryScores, firstCut);
            margin = Math.min(marginOfFirst, take(taken, importanceScores, sparse.topK()));
        }
        return new Choice(indexes(taken), margin);
    }

    /** Takes the best block, the lowest index among equals, until {@code total} are taken; returns the cut's margin. */
    private static double take(boolean[] taken, double[] scores, int total) {
        boolean[] before = taken.clone();
        for (int count = indexes(taken).length; count < total; count++) {
            taken[best(taken, scores)] = true;
        }
        double margin = Double.POSITIVE_INFINITY;
        for (int kept = 0; kept < taken.length; kept++) {
            for (int left = 0; left < taken.length; left++) {
                if (taken[kept] && !before[kept] && !taken[left] && scores[kept] != scores[left]) {
                    margin = Math.min(margin, scores[kept] - scores[left]);
                }
            }
        }
        return margin;
    }

    private static int best(boolean[] taken, double[] scores) {
        int best = -1;
        for (int b = 0; b < taken.length; b++) {
            if (!taken[b] && (best < 0 || scores[b] > scores[best])) {
                best = b;
            }
        }
        return best;
    }

    private static int[] indexes(boolean[] taken) {
        int[] indexes = new int[taken.length];
        int count = 0;
        for (int b = 0; b < taken.length; b++) {
            if (taken[b]) {
                indexes[count++] = b;
            }
        }
        return Arrays.copyOf(indexes, count);
    }
}
