package dev.nosa.backend.cuda;

import dev.nosa.backend.Weight;
import dev.nosa.checkpoint.CheckpointTensor;
import dev.nosa.tensor.BFloat16;
import java.util.List;

/** A matrix (out, in) or a vector (1, n) in BF16 on the GPU. */
record CudaWeight(DeviceBuffer buffer, int rows, int cols) implements Weight, AutoCloseable {
    private static final int PIECE = 1 << 22;

    /** Uploads tensors of together {@code rows * cols} values, one behind the other. */
    static CudaWeight upload(CudaContext context, List<CheckpointTensor> parts, int rows, int cols) {
        DeviceBuffer buffer = DeviceBuffer.allocate(context, (long) rows * cols * Short.BYTES);
        float[] wide = new float[PIECE];
        short[] narrow = new short[PIECE];
        long at = 0;
        for (CheckpointTensor part : parts) {
            for (long from = 0; from < part.elements(); from += PIECE) {
                int count = (int) Math.min(PIECE, part.elements() - from);
                part.read(from, wide, 0, count);
                BFloat16.fromFloat(wide, narrow, count);
                buffer.copyFrom(at * Short.BYTES, count == PIECE ? narrow : java.util.Arrays.copyOf(narrow, count));
                at += count;
            }
        }
        return new CudaWeight(buffer, rows, cols);
    }

    long address() {
        return buffer.address();
    }

    @Override
    public void close() {
        buffer.close();
    }
}
