package dev.nosa.sparse;

/**
 * Budgets of the block selection, all from the model's configuration (NOSA specification, section 1).
 *
 * @param blockSize tokens in a KV block (bs), a multiple of {@code stride}
 * @param window tokens in a compression window (w, {@code kernel_size})
 * @param stride tokens between window starts (s, {@code kernel_stride})
 * @param initBlocks first blocks that are always attended (n_init)
 * @param localBlocks blocks before the current one that are always attended (n_local, {@code window_size / block_size})
 * @param topK all blocks that a query attends (k)
 * @param topKQuery extra query-aware blocks of mode nosa (k_q)
 * @param denseLength positions below this one attend every causal block, in tokens ({@code dense_len}; 0: none)
 */
public record SparseConfig(
        int blockSize,
        int window,
        int stride,
        int initBlocks,
        int localBlocks,
        int topK,
        int topKQuery,
        int denseLength) {

    /** The values of the released NOSA models. */
    public static final SparseConfig DEFAULT = new SparseConfig(64, 32, 16, 1, 16, 64, 16, 0);

    public SparseConfig {
        require(stride > 0, "kernel_stride", stride, "must be positive");
        require(
                blockSize > 0 && blockSize % stride == 0,
                "block_size",
                blockSize,
                "must be a multiple of kernel_stride");
        require(window >= stride, "kernel_size", window, "must be at least kernel_stride");
        require(initBlocks >= 0, "init_blocks", initBlocks, "must not be negative");
        require(localBlocks >= 0, "window_size", (long) localBlocks * blockSize, "must not be negative");
        require(topKQuery >= 0, "topk_q", topKQuery, "must not be negative");
        require(denseLength >= 0, "dense_len", denseLength, "must not be negative");
        require(
                topK >= initBlocks + localBlocks + 1,
                "topk",
                topK,
                "must hold init_blocks + local blocks + the current block");
        require(
                topK >= initBlocks + localBlocks + topKQuery,
                "topk",
                topK,
                "must hold init_blocks + local blocks + topk_q");
    }

    /** Blocks of the first cut of mode nosa: n_init + n_local + k_q. */
    public int queryCut() {
        return initBlocks + localBlocks + topKQuery;
    }

    /** Blocks that a query at {@code position} attends at most. */
    public int budget(int position) {
        return position < denseLength ? Math.max(topK, position / blockSize + 1) : topK;
    }

    /** The largest {@link #budget} of any position: what one head's slots must hold. */
    public int maxBudget() {
        return Math.max(topK, (denseLength + blockSize - 1) / blockSize);
    }

    /** Whether block {@code b} is always attended by a query in block {@code current}. */
    public boolean isForced(int b, int current) {
        return b <= current && (b < initBlocks || b >= current - localBlocks);
    }

    private static void require(boolean holds, String key, long value, String rule) {
        if (!holds) {
            throw new IllegalArgumentException("sparse_config." + key + " = " + value + ": " + rule);
        }
    }
}
