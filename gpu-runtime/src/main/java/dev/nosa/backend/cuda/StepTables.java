package dev.nosa.backend.cuda;

import dev.nosa.backend.BatchInputs;
import dev.nosa.backend.BatchInputs.Slice;
import java.nio.IntBuffer;

/**
 * What kernels read of a step: its tokens, and the row and position of each.
 * Engine thread.
 */
final class StepTables implements AutoCloseable {
    /** Row of a lane that pads a bucket. */
    static final int NO_ROW = -1;

    private static final int COUNTERS = 2;

    private final CudaStream stream;
    private final PinnedBuffer host;
    private final IntBuffer values;
    private final DeviceBuffer device;
    private final DeviceBuffer counters;
    private final PinnedBuffer hostCounters;
    /** Tokens of the batch; the three tables lie one behind the other. */
    private int count;

    /** @param maxTokens tokens of a step, padding included */
    StepTables(CudaContext context, CudaStream stream, int maxTokens) {
        this.stream = stream;
        host = PinnedBuffer.allocate(context, 3L * maxTokens * Integer.BYTES);
        values = host.buffer().asIntBuffer();
        device = DeviceBuffer.allocate(context, host.bytes());
        counters = DeviceBuffer.allocate(context, (long) maxTokens * COUNTERS * Long.BYTES);
        hostCounters = PinnedBuffer.allocate(context, counters.bytes());
    }

    /** Takes in a batch; the last one's counters have been read. */
    void write(BatchInputs batch) {
        count = batch.tokens().length;
        values.put(0, batch.tokens());
        for (Slice slice : batch.slices()) {
            for (int i = 0; i < slice.count(); i++) {
                values.put(count + slice.firstRow() + i, slice.row());
                values.put(2 * count + slice.firstRow() + i, slice.start() + i);
            }
        }
    }

    /** Queues the copy of what was written, and zeroes the counters; may be captured, for all batches as large. */
    void copyIn() {
        device.copyFrom(stream, 0, host, 0, 3L * count * Integer.BYTES);
        counters.fill(stream, 0, counterBytes(), 0);
    }

    /** Queues the copy of the counters, for {@link #readCounters}; may be captured. */
    void copyOut() {
        counters.copyTo(stream, 0, hostCounters, 0, counterBytes());
    }

    private long counterBytes() {
        return (long) count * COUNTERS * Long.BYTES;
    }

    /** Token ids from {@code token} on, int32. */
    long tokens(int token) {
        return device.address((long) token * Integer.BYTES);
    }

    /** Row of each token from {@code token} on, int32. */
    long rows(int token) {
        return device.address((long) (count + token) * Integer.BYTES);
    }

    /** Position of each token from {@code token} on, int32. */
    long positions(int token) {
        return device.address((2L * count + token) * Integer.BYTES);
    }

    /** Selected and missed blocks of each token from {@code token} on, two int64. */
    long counters(int token) {
        return counters.address((long) token * COUNTERS * Long.BYTES);
    }

    /** The counters of all tokens, behind {@link #copyOut}; waits for the stream. */
    long[] readCounters() {
        long[] read = new long[count * COUNTERS];
        stream.synchronize();
        hostCounters.buffer().asLongBuffer().get(0, read);
        return read;
    }

    @Override
    public void close() {
        counters.close();
        hostCounters.close();
        device.close();
        host.close();
    }
}
