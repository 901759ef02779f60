package dev.nosa.model;

import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import java.util.Set;

/**
 * A Llama-shaped model with or without NOSA's importance head, as {@code config.json} states it.
 *
 * @param layers decoder layers
 * @param hidden width of the residual stream
 * @param intermediate width of the SwiGLU
 * @param heads query heads (Hq)
 * @param kvHeads KV heads (Hkv), a divisor of {@code heads}
 * @param headDim D
 * @param vocabSize rows of the embedding
 * @param maxPositions longest sequence, in tokens
 * @param rmsNormEps added to the mean square
 * @param rope rotary embedding
 * @param tiedEmbeddings whether the embedding is the output matrix too
 * @param attentionBias whether q, k, v, o and delta have biases
 * @param bosToken first token, or -1
 * @param eosTokens ids that end a generation, {@code generation_config.json} included
 * @param importance whether the checkpoint holds {@code A} and {@code delta}
 * @param mode the attention mode that the checkpoint was trained for
 * @param sparse selection budgets
 */
public record ModelConfig(
        int layers,
        int hidden,
        int intermediate,
        int heads,
        int kvHeads,
        int headDim,
        int vocabSize,
        int maxPositions,
        float rmsNormEps,
        RopeConfig rope,
        boolean tiedEmbeddings,
        boolean attentionBias,
        int bosToken,
        Set<Integer> eosTokens,
        boolean importance,
        AttentionMode mode,
        SparseConfig sparse) {
    public ModelConfig {
        eosTokens = Set.copyOf(eosTokens);
    }

    /** Values of all matrices and vectors. */
    public long parameters() {
        long attention =
                (2L * heads + 2L * kvHeads) * headDim * hidden + (importance ? kvHeads * (1L + kvHeads * headDim) : 0);
        long layer = attention + 3L * hidden * intermediate + 2L * hidden;
        return layers * layer + (tiedEmbeddings ? 1L : 2L) * vocabSize * hidden + hidden;
    }

    /** Query heads per KV head (G). */
    public int groupSize() {
        return heads / kvHeads;
    }
}
