package dev.nosa.backend.cpu;

/**
 * exp in F32 for the softmax, which takes one for every attended token, head and layer. Additions and products alone,
 * so that the JIT turns a loop of it into vector instructions, which it does not with a conversion to int.
 */
final class FastExp {
    private static final float LOWEST = -80f; // e^-80 = 2e-35: nothing beside the largest term, which is 1
    private static final float PART = 1f / 128;

    private FastExp() {}

    /** e^x for x <= 0, with an error below 5e-7; below -80, e^-80. */
    static float exp(float x) {
        float t = Math.max(x, LOWEST) * PART;
        // e^t - 1 by its series; squared four times in this form, which keeps the digits that 1 + t would lose
        float p =
                t * (1f + t * (0.5f + t * (0.16666667f + t * (0.041666668f + t * (0.008333334f + t * 0.0013888889f)))));
        p *= 2f + p;
        p *= 2f + p;
        p *= 2f + p;
        p *= 2f + p;
        float q = 1f + p;
        q *= q;
        q *= q;
        return q * q;
    }

    /** The largest of {@code values[from, from + count)}, NaN left out. Four at a time: one alone waits for the last. */
    static float max(float[] values, int from, int count) {
        float a = Float.NEGATIVE_INFINITY;
        float b = a;
        float c = a;
        float d = a;
        int i = from;
        for (int end = from + count / 4 * 4; i < end; i += 4) {
            a = values[i] > a ? values[i] : a;
            b = values[i + 1] > b ? values[i + 1] : b;
            c = values[i + 2] > c ? values[i + 2] : c;
            d = values[i + 3] > d ? values[i + 3] : d;
        }
        for (int end = from + count; i < end; i++) {
            a = values[i] > a ? values[i] : a;
        }
        a = a > b ? a : b;
        c = c > d ? c : d;
        return a > c ? a : c;
    }

    /** Turns {@code values[from, from + count)} into exp(value - max) and returns the sum. */
    static float softmaxNumerators(float[] values, int from, int count, float max) {
        for (int i = from; i < from + count; i++) {
            values[i] = exp(values[i] - max);
        }
        return sum(values, from, count);
    }

    /** In an order that depends on {@code count} alone; four at a time, since the JIT keeps the order of float additions. */
    private static float sum(float[] values, int from, int count) {
        float a = 0;
        float b = 0;
        float c = 0;
        float d = 0;
        int i = from;
        for (int end = from + count / 4 * 4; i < end; i += 4) {
            a += values[i];
            b += values[i + 1];
            c += values[i + 2];
            d += values[i + 3];
        }
        for (int end = from + count; i < end; i++) {
            a += values[i];
        }
        return (a + b) + (c + d);
    }
}
