package dev.nosa.backend.cpu;

/** exp in F32 for the softmax, which takes one for every attended token, head and layer. */
final class FastExp {
    private static final float LOG2_E = 1.44269504f;
    private static final float LN2_HIGH = 0.693359375f;
    private static final float LN2_LOW = -2.12194440e-4f;
    private static final float ROUND = 12582912f; // 1.5 * 2^23: adding it rounds to an integer

    private FastExp() {}

    /** e^x for x <= 0, relative error below 3e-7; 0 below -87. */
    static float exp(float x) {
        if (x < -87f) {
            return 0f;
        }
        float shifted = x * LOG2_E + ROUND;
        float n = shifted - ROUND;
        float r = x - n * LN2_HIGH - n * LN2_LOW;
        float p = 1.9875691500e-4f;
        p = p * r + 1.3981999507e-3f;
        p = p * r + 8.3334519073e-3f;
        p = p * r + 4.1665795894e-2f;
        p = p * r + 1.6666665459e-1f;
        p = p * r + 5.0000001201e-1f;
        p = p * r * r + r + 1f;
        return p * Float.intBitsToFloat(((int) n + 127) << 23);
    }

    /**
     * Turns {@code values[from, from + count)} into exp(value - their maximum) and returns the sum. Negative infinity
     * becomes 0; at least one value must be finite.
     */
    static float softmaxNumerators(float[] values, int from, int count) {
        float max = Float.NEGATIVE_INFINITY;
        for (int i = from; i < from + count; i++) {
            max = Math.max(max, values[i]);
        }
        float sum = 0;
        for (int i = from; i < from + count; i++) {
            float e = exp(values[i] - max);
            values[i] = e;
            sum += e;
        }
        return sum;
    }
}
