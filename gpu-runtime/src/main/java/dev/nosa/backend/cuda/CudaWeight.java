package dev.nosa.backend.cuda;

import dev.nosa.backend.Weight;
import dev.nosa.checkpoint.CheckpointTensor;
import dev.nosa.tensor.BFloat16;
import java.util.List;
import java.util.stream.LongStream;

/**
 * A matrix (out, in) or a vector (1, n) in BF16 on the GPU. A vector lies there in F32 too, behind the BF16 values: a product adds a
 * bias of its result's type.
 */
record CudaWeight(DeviceBuffer buffer, int rows, int cols) implements Weight, AutoCloseable {
    private static final int PIECE = 1 << 20;

    /** Uploads tensors of together {@code rows * cols} values, one behind the other; rounds some pieces at a time in parallel. */
    static CudaWeight upload(CudaContext context, List<CheckpointTensor> tensors, int rows, int cols) {
        long bytes = (long) rows * cols * Short.BYTES;
        DeviceBuffer buffer =
                DeviceBuffer.allocate(context, rows > 1 ? bytes : wideOffset(cols) + (long) cols * Float.BYTES);
        int atOnce = Runtime.getRuntime().availableProcessors();
        long at = 0;
        for (CheckpointTensor tensor : tensors) {
            long pieces = (tensor.elements() + PIECE - 1) / PIECE;
            for (long first = 0; first < pieces; first += atOnce) {
                List<short[]> rounded = LongStream.range(first, Math.min(first + atOnce, pieces))
                        .parallel()
                        .mapToObj(piece -> rounded(tensor, piece * PIECE))
                        .toList();
                for (short[] values : rounded) {
                    buffer.copyFrom(at * Short.BYTES, values);
                    at += values.length;
                }
            }
        }
        if (rows == 1) {
            long offset = wideOffset(cols);
            for (CheckpointTensor tensor : tensors) {
                float[] wide = new float[Math.toIntExact(tensor.elements())];
                tensor.read(0, wide, 0, wide.length);
                buffer.copyFrom(offset, wide);
                offset += (long) wide.length * Float.BYTES;
            }
        }
        return new CudaWeight(buffer, rows, cols);
    }

    private static long wideOffset(int cols) {
        return ((long) cols * Short.BYTES + ProductPlan.ALIGNMENT - 1) / ProductPlan.ALIGNMENT * ProductPlan.ALIGNMENT;
    }

    private static short[] rounded(CheckpointTensor tensor, long from) {
        int count = (int) Math.min(PIECE, tensor.elements() - from);
        float[] wide = new float[count];
        tensor.read(from, wide, 0, count);
        short[] narrow = new short[count];
        BFloat16.fromFloat(wide, narrow, count);
        return narrow;
    }

    long address() {
        return buffer.address();
    }

    /** Of a vector's values in F32. */
    long wideAddress() {
        return buffer.address(wideOffset(cols));
    }

    @Override
    public void close() {
        buffer.close();
    }
}
