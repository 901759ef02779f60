package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.tensor.BFloat16;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * GPU 0 with the runtime's kernels, and arrays on it until {@link #free}. What nobody wrote is NaN in BF16 and F32, and -1 as an
 * int.
 */
final class KernelBench implements AutoCloseable {
    private static final int UNWRITTEN = 0xff;

    private final CudaContext context;
    private final CudaStream stream;
    private final KernelLibrary library;
    private final KernelArgs args = new KernelArgs();
    private final List<AutoCloseable> arrays = new ArrayList<>();

    KernelBench() {
        assertThat(CudaDriver.unavailable()).isEmpty();
        context = CudaContext.open(0);
        stream = new CudaStream(context);
        library = KernelLibrary.load(context);
    }

    CudaContext context() {
        return context;
    }

    CudaStream stream() {
        return stream;
    }

    KernelLibrary library() {
        return library;
    }

    /** For the next launch; empty. */
    KernelArgs args() {
        return args.clear();
    }

    /** Runs a kernel with what was put into {@link #args}, and waits for it. */
    void launch(String kernel, int[] grid, int threads, int shared) {
        library.kernel(kernel).launch(stream, grid[0], grid[1], grid[2], threads, shared, args);
        stream.synchronize();
    }

    static int[] grid(int... sizes) {
        int[] grid = {1, 1, 1};
        System.arraycopy(sizes, 0, grid, 0, sizes.length);
        return grid;
    }

    DeviceBuffer unwritten(long bytes) {
        DeviceBuffer buffer = DeviceBuffer.allocate(context, bytes);
        arrays.add(buffer);
        buffer.fill(UNWRITTEN);
        return buffer;
    }

    DeviceBuffer zeros(long bytes) {
        DeviceBuffer buffer = unwritten(bytes);
        buffer.fill(0);
        return buffer;
    }

    /** Pinned memory, unwritten too. */
    PinnedBuffer pinned(int bytes) {
        PinnedBuffer buffer = PinnedBuffer.allocate(context, bytes);
        arrays.add(buffer);
        byte[] fill = new byte[bytes];
        Arrays.fill(fill, (byte) UNWRITTEN);
        buffer.buffer().put(fill);
        return buffer;
    }

    DeviceBuffer ints(int... values) {
        DeviceBuffer buffer = unwritten(4L * values.length);
        buffer.copyFrom(0, values);
        return buffer;
    }

    DeviceBuffer floats(float... values) {
        DeviceBuffer buffer = unwritten(4L * values.length);
        buffer.copyFrom(0, values);
        return buffer;
    }

    DeviceBuffer bf16(float... values) {
        DeviceBuffer buffer = unwritten(2L * values.length);
        write(buffer, values);
        return buffer;
    }

    /** As BF16. */
    static void write(DeviceBuffer buffer, float... values) {
        short[] bits = new short[values.length];
        BFloat16.fromFloat(values, bits, bits.length);
        buffer.copyFrom(0, bits);
    }

    static int[] readInts(DeviceBuffer buffer) {
        int[] values = new int[(int) (buffer.bytes() / 4)];
        buffer.copyTo(0, values);
        return values;
    }

    static float[] readFloats(DeviceBuffer buffer) {
        float[] values = new float[(int) (buffer.bytes() / 4)];
        buffer.copyTo(0, values);
        return values;
    }

    static float[] readBf16(DeviceBuffer buffer) {
        short[] bits = new short[(int) (buffer.bytes() / 2)];
        buffer.copyTo(0, bits);
        float[] values = new float[bits.length];
        BFloat16.toFloat(bits, values, bits.length);
        return values;
    }

    /** Normally distributed numbers that BF16 can hold. */
    static float[] random(Random random, int count, double deviation) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = BFloat16.round((float) (deviation * random.nextGaussian()));
        }
        return values;
    }

    /** Gives all arrays back. */
    void free() {
        arrays.forEach(CudaKvStore::closeQuietly);
        arrays.clear();
    }

    @Override
    public void close() {
        free();
        library.close();
        stream.close();
        context.close();
    }
}
