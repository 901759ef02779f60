package dev.nosa.tensor;

/** The upper half of an F32: 8 bits of exponent, 7 of mantissa. */
public final class BFloat16 {
    private BFloat16() {}

    public static float toFloat(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }

    /** Rounds to nearest, ties to even; NaN stays NaN. */
    public static short fromFloat(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) ((bits >>> 16) | 0x40);
        }
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }

    /** {@code value} with the precision of BF16. */
    public static float round(float value) {
        return toFloat(fromFloat(value));
    }

    public static void toFloat(short[] source, float[] target, int count) {
        for (int i = 0; i < count; i++) {
            target[i] = Float.intBitsToFloat(source[i] << 16);
        }
    }

    public static void fromFloat(float[] source, short[] target, int count) {
        for (int i = 0; i < count; i++) {
            target[i] = fromFloat(source[i]);
        }
    }
}
