package dev.nosa.backend;

/**
 * The query-agnostic head of one layer (NOSA specification, section 2, step 2).
 *
 * @param a (1, Hkv)
 * @param delta (Hkv, Hkv * D)
 * @param bias (1, Hkv), or null
 */
public record ImportanceWeights(Weight a, Weight delta, Weight bias) {}
