package dev.nosa.sparse;

import java.util.Arrays;

/**
 * The blocks that a query attends (NOSA specification, section 2, steps 6 and 7, and section 3). Holds scratch for one
 * thread.
 */
public final class BlockSelection {
    private final SparseConfig config;
    private final AttentionMode mode;
    private boolean[] chosen = new boolean[64];
    private long[] keys = new long[64];

    public BlockSelection(SparseConfig config, AttentionMode mode) {
        this.config = config;
        this.mode = mode;
    }

    /** Whether a query at {@code position} attends all causal blocks whatever their scores. */
    public boolean isDense(int position) {
        return !mode.isSparse() || position / config.blockSize() + 1 <= config.budget(position);
    }

    /**
     * Selects for one query and KV head.
     *
     * @param position of the query, 0-based
     * @param queryScores pooled query-aware score of each block; not read in mode dma or where {@link #isDense}
     * @param importance pooled importance of each block; read in modes dma and nosa where not dense
     * @param selected receives the blocks, ascending
     * @return how many
     */
    public int select(int position, float[] queryScores, float[] importance, int[] selected) {
        int current = position / config.blockSize();
        if (isDense(position)) {
            for (int b = 0; b <= current; b++) {
                selected[b] = b;
            }
            return current + 1;
        }
        int budget = config.budget(position);
        int count = chooseForced(current);
        if (mode.usesQueryScores()) {
            int cut = mode.usesImportance() ? config.queryCut() : budget;
            count += choose(current, queryScores, cut - count);
        }
        if (mode.usesImportance()) {
            choose(current, importance, budget - count);
        }
        return collect(current, selected);
    }

    private int chooseForced(int current) {
        if (chosen.length <= current) {
            chosen = new boolean[2 * current];
            keys = new long[2 * current];
        }
        Arrays.fill(chosen, 0, current + 1, false);
        Arrays.fill(chosen, 0, Math.min(config.initBlocks(), current + 1), true);
        Arrays.fill(chosen, Math.max(0, current - config.localBlocks()), current + 1, true);
        int forced = 0;
        for (int b = 0; b <= current; b++) {
            forced += chosen[b] ? 1 : 0;
        }
        return forced;
    }

    /** Chooses up to {@code count} more blocks by score and returns how many. */
    private int choose(int current, float[] scores, int count) {
        if (count <= 0) {
            return 0;
        }
        int candidates = 0;
        for (int b = 0; b <= current; b++) {
            if (!chosen[b]) {
                keys[candidates++] = TopK.key(scores[b], b);
            }
        }
        int taken = Math.min(count, candidates);
        TopK.partition(keys, candidates, taken);
        for (int i = 0; i < taken; i++) {
            chosen[TopK.index(keys[i])] = true;
        }
        return taken;
    }

    private int collect(int current, int[] selected) {
        int count = 0;
        for (int b = 0; b <= current; b++) {
            if (chosen[b]) {
                selected[count++] = b;
            }
        }
        return count;
    }
}
