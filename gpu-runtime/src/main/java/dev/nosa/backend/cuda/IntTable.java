package dev.nosa.backend.cuda;

import java.nio.IntBuffer;

/** A table of ints, (rows, cols), that the host writes and kernels read. Engine thread. */
final class IntTable implements AutoCloseable {
    private final int cols;
    private final PinnedBuffer host;
    private final IntBuffer values;
    private final DeviceBuffer device;

    IntTable(CudaContext context, int rows, int cols) {
        this.cols = cols;
        long bytes = Math.multiplyExact((long) rows * cols, Integer.BYTES);
        host = PinnedBuffer.allocate(context, bytes);
        values = host.buffer().asIntBuffer();
        device = DeviceBuffer.allocate(context, bytes);
        device.fill(0);
    }

    long address() {
        return device.address();
    }

    int cols() {
        return cols;
    }

    int get(int row, int col) {
        return values.get(row * cols + col);
    }

    /** Not on the device before {@link #upload}. */
    void set(int row, int col, int value) {
        values.put(row * cols + col, value);
    }

    /**
     * Queues the copy of columns [from, to) of a row. They must not be set again before the stream has come that far.
     */
    void upload(CudaStream stream, int row, int from, int to) {
        long offset = ((long) row * cols + from) * Integer.BYTES;
        device.copyFrom(stream, offset, host, offset, (long) (to - from) * Integer.BYTES);
    }

    @Override
    public void close() {
        device.close();
        host.close();
    }
}
