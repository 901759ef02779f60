package dev.nosa.backend;

/**
 * Heads and rotary embedding of every attention layer.
 *
 * @param heads query heads; query head h belongs to KV head {@code h / (heads / kvHeads)}
 * @param kvHeads KV heads
 * @param headDim D
 * @param inverseFrequencies D / 2 angles per position
 * @param ropeScale multiplies cos and sin
 */
public record AttentionShape(int heads, int kvHeads, int headDim, float[] inverseFrequencies, float ropeScale) {
    public int groupSize() {
        return heads / kvHeads;
    }
}
