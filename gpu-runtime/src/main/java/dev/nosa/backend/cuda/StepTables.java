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

    private final int maxTokens;
    private final CudaStream stream;
    private final PinnedBuffer host;
    private final IntBuffer values;
    private final DeviceBuffer device;
    private final DeviceBuffer counters;
    private final PinnedBuffer hostCounters;

    /** @param maxTokens tokens of a step, padding included */
    StepTables(CudaContext context, CudaStream stream, int maxTokens) {
        this.maxTokens = maxTokens;
        this.stream = stream;
        host = PinnedBuffer.allocate(context, 3L * maxTokens * Integer.BYTES);
        values = host.buffer().asIntBuffer();
        device = DeviceBuffer.allocate(context, host.bytes());
        counters = DeviceBuffer.allocate(context, (long) maxTokens * COUNTERS * Long.BYTES);
        hostCounters = PinnedBuffer.allocate(context, counters.bytes());
    }

    /** Queues the copy of a batch's tables, and zeroes the counters. The last step's have been read. */
    void upload(BatchInputs batch) {
        int count = batch.tokens().length;
        values.put(0, batch.tokens());
        for (Slice slice : batch.slices()) {
            for (int i = 0; i < slice.count(); i++) {
                values.put(maxTokens + slice.firstRow() + i, slice.row());
                values.put(2 * maxTokens + slice.firstRow() + i, slice.start() + i);
            }
        }
        for (long at = 0; at < 3L * maxTokens; at += maxTokens) {
            device.copyFrom(stream, at * Integer.BYTES, host, at * Integer.BYTES, (long) count * Integer.BYTES);
        }
        counters.fill(stream, 0, (long) count * COUNTERS * Long.BYTES, 0);
    }

    /** Token ids, int32. */
    long tokens() {
        return device.address();
    }

    /** Row of each token from {@code token} on, int32. */
    long rows(int token) {
        return device.address((long) (maxTokens + token) * Integer.BYTES);
    }

    /** Position of each token from {@code token} on, int32. */
    long positions(int token) {
        return device.address((long) (2 * maxTokens + token) * Integer.BYTES);
    }

    /** Selected and missed blocks of each token from {@code token} on, two int64. */
    long counters(int token) {
        return counters.address((long) token * COUNTERS * Long.BYTES);
    }

    /** Counters of the first {@code count} tokens; waits for the stream. */
    long[] readCounters(int count) {
        long[] read = new long[count * COUNTERS];
        counters.copyTo(stream, 0, hostCounters, 0, (long) read.length * Long.BYTES);
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
