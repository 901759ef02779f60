package dev.nosa.backend.cpu;

import java.nio.FloatBuffer;
import org.bytedeco.javacpp.FloatPointer;

/**
 * F32 values outside the Java heap, where OpenBLAS reads and writes them; zero at first. Freed by {@link #close}, never
 * by the collector alone.
 */
final class NativeFloats implements AutoCloseable {
    static {
        // JavaCPP refuses to allocate past the heap's size unless told not to; the engine's planner is what limits it.
        setUnlessSet("org.bytedeco.javacpp.maxbytes");
        setUnlessSet("org.bytedeco.javacpp.maxphysicalbytes");
    }

    private final FloatPointer pointer;
    private final FloatBuffer buffer;
    private final int size;

    NativeFloats(long size) {
        if (size > Integer.MAX_VALUE / Float.BYTES) {
            throw new IllegalArgumentException("one native buffer of " + size + " values: at most "
                    + Integer.MAX_VALUE / Float.BYTES + " are possible");
        }
        this.size = (int) size;
        pointer = new FloatPointer(Math.max(1, size));
        pointer.zero();
        buffer = pointer.asByteBuffer().asFloatBuffer();
    }

    private static void setUnlessSet(String key) {
        if (System.getProperty(key) == null) {
            System.setProperty(key, "0");
        }
    }

    int size() {
        return size;
    }

    /** A view of the whole that OpenBLAS can be handed; its position may be moved by one thread. */
    FloatPointer view() {
        return new FloatPointer(pointer);
    }

    float get(int index) {
        return buffer.get(index);
    }

    void put(int index, float value) {
        buffer.put(index, value);
    }

    void get(int index, float[] target, int offset, int count) {
        buffer.get(index, target, offset, count);
    }

    void put(int index, float[] source, int offset, int count) {
        buffer.put(index, source, offset, count);
    }

    void copyFrom(int index, NativeFloats source, int sourceIndex, int count) {
        buffer.put(index, source.buffer, sourceIndex, count);
    }

    @Override
    public void close() {
        pointer.deallocate();
    }
}
