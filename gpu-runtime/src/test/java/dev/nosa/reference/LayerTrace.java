package dev.nosa.reference;

/**
 * What one attention layer computes. Indexes: t token, j window, g KV head, h query head, p query row (the position in
 * {@code positions[p]}).
 *
 * @param query [p][h][D], after RoPE
 * @param key [t][g][D], after RoPE
 * @param value [t][g][D]
 * @param importance [g][t], cis; empty in a mode without importance
 * @param compressedKeys [g][j][D], of every window of the sequence
 * @param compressedImportance [g][j], likewise; empty in a mode without importance
 * @param rows [p][g]
 * @param attention [p][h][D], before the output projection
 */
record LayerTrace(
        int[] positions,
        double[][][] query,
        double[][][] key,
        double[][][] value,
        double[][] importance,
        double[][][] compressedKeys,
        double[][] compressedImportance,
        HeadRow[][] rows,
        double[][][] attention) {

    /**
     * The selection of one query and KV head.
     *
     * @param windowScores query-aware score of each visible window, summed over the group; empty where not used
     * @param queryScores of each block up to the current one, forced blocks included; empty where not used
     * @param importanceScores likewise, -infinity for a block without a complete window
     * @param blocks selected blocks, ascending
     * @param margin see {@link ReferenceSelection.Choice}
     */
    record HeadRow(
            double[] windowScores, double[] queryScores, double[] importanceScores, int[] blocks, double margin) {}
}
