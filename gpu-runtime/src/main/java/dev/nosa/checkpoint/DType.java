package dev.nosa.checkpoint;

import java.nio.ByteBuffer;
import java.nio.ShortBuffer;

/** Element types that are read, each with its widening to F32. */
enum DType {
    F32(4) {
        @Override
        void widen(ByteBuffer source, float[] target, int targetOffset, int count) {
            source.asFloatBuffer().get(target, targetOffset, count);
        }
    },
    F16(2) {
        @Override
        void widen(ByteBuffer source, float[] target, int targetOffset, int count) {
            ShortBuffer halves = source.asShortBuffer();
            for (int i = 0; i < count; i++) {
                target[targetOffset + i] = fromHalf(halves.get(i));
            }
        }
    },
    BF16(2) {
        @Override
        void widen(ByteBuffer source, float[] target, int targetOffset, int count) {
            ShortBuffer halves = source.asShortBuffer();
            for (int i = 0; i < count; i++) {
                target[targetOffset + i] = Float.intBitsToFloat(halves.get(i) << 16);
            }
        }
    };

    /** 2^(127 - 15): the difference between the exponent biases of F32 and F16. */
    private static final float HALF_SCALE = 0x1p112f;

    private static final int HALF_EXPONENT = 0x7C00;

    private final int bytes;

    DType(int bytes) {
        this.bytes = bytes;
    }

    /** Bytes of one element. */
    int bytes() {
        return bytes;
    }

    /** Widens the first {@code count} elements of {@code source}, which is little-endian. */
    abstract void widen(ByteBuffer source, float[] target, int targetOffset, int count);

    /**
     * The bits moved into an F32's fields are too small by the exponent biases' difference, subnormals included, so one
     * product makes up for it; infinity and NaN keep their exponent of ones.
     */
    private static float fromHalf(short half) {
        int sign = (half & 0x8000) << 16;
        int rest = (half & 0x7FFF) << 13;
        if ((half & HALF_EXPONENT) == HALF_EXPONENT) {
            return Float.intBitsToFloat(sign | 0x7F800000 | rest);
        }
        float magnitude = Float.intBitsToFloat(rest) * HALF_SCALE;
        return sign == 0 ? magnitude : -magnitude;
    }
}
