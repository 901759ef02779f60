package dev.nosa.backend.cuda;

/**
 * Memory of one step's tensors and scratch, taken from the front and given back all at once. The same steps get the same
 * addresses, as a recorded graph needs. Engine thread.
 */
final class Workspace implements AutoCloseable {
    private static final int ALIGNMENT = 256;

    private final DeviceBuffer buffer;
    private long used;

    Workspace(CudaContext context, long bytes) {
        buffer = DeviceBuffer.allocate(context, bytes);
    }

    /** Bytes that {@code count} values of {@code size} bytes take. */
    static long aligned(long count, int size) {
        return (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    /** Gives everything back. */
    void clear() {
        used = 0;
    }

    /** How much is taken, for {@link #back}. */
    long mark() {
        return used;
    }

    /** Gives back what was taken since {@link #mark}; work that is queued already may go on using it. */
    void back(long mark) {
        used = mark;
    }

    /** Device address of {@code count} values of {@code size} bytes, contents undefined. */
    long take(long count, int size) {
        long bytes = aligned(count, size);
        if (bytes > buffer.bytes() - used) {
            throw new IllegalStateException("the GPU workspace of " + buffer.bytes() + " bytes, of which " + used
                    + " are taken, has no room for " + bytes);
        }
        long address = buffer.address(used);
        used += bytes;
        return address;
    }

    /** @param wide F32; else BF16 */
    CudaTensor tensor(int rows, int cols, boolean wide) {
        return new CudaTensor(take((long) rows * cols, wide ? Float.BYTES : Short.BYTES), rows, cols, wide);
    }

    /** Copies one row, on a stream. */
    void copyRow(CudaStream stream, CudaTensor from, int fromRow, CudaTensor to, int toRow) {
        copy(stream, from.row(fromRow), to.row(toRow), from.rowBytes());
    }

    /** The rows of {@code upper}, and below them those of {@code lower}; copied on a stream. */
    CudaTensor stacked(CudaStream stream, CudaTensor upper, CudaTensor lower) {
        CudaTensor all = tensor(upper.rows() + lower.rows(), upper.cols(), upper.wide());
        copy(stream, upper.address(), all.address(), upper.rows() * upper.rowBytes());
        copy(stream, lower.address(), all.row(upper.rows()), lower.rows() * lower.rowBytes());
        return all;
    }

    private void copy(CudaStream stream, long from, long to, long bytes) {
        buffer.copyFrom(stream, to - buffer.address(), buffer, from - buffer.address(), bytes);
    }

    /** Copies values at a device address to the host, when all work is done. */
    void read(long address, float[] target) {
        buffer.copyTo(address - buffer.address(), target);
    }

    @Override
    public void close() {
        buffer.close();
    }
}
