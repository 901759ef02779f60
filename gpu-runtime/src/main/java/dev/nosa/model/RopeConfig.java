package dev.nosa.model;

/**
 * Rotary embedding after scaling: all rope types come down to these.
 *
 * @param inverseFrequencies headDim / 2 angles per position, longrope's factors and linear or llama3 scaling applied
 * @param attentionFactor multiplies cos and sin
 */
public record RopeConfig(float[] inverseFrequencies, float attentionFactor) {}
