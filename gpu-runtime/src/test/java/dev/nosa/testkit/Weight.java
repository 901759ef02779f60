package dev.nosa.testkit;

/**
 * A tensor of a test checkpoint.
 *
 * @param shape sizes, outermost first; matrices are (out, in)
 * @param values row-major, exactly as a reader of the file gets them: already rounded to the dtype of the file
 */
public record Weight(long[] shape, float[] values) {
    public Weight {
        long elements = 1;
        for (long size : shape) {
            elements = Math.multiplyExact(elements, size);
        }
        if (elements != values.length) {
            throw new IllegalArgumentException(values.length + " values for a shape of " + elements);
        }
    }

    /** Rounds to the nearest BF16, ties to even, and widens again. */
    static float roundToBfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        int rounded = bits + 0x7fff + ((bits >>> 16) & 1);
        return Float.intBitsToFloat(rounded & 0xffff0000);
    }
}
