package dev.nosa.backend.cuda;

import dev.nosa.tensor.Tensor;

/**
 * A row-major matrix in the workspace of a {@link CudaBackend}.
 *
 * @param wide F32; else BF16
 */
record CudaTensor(long address, int rows, int cols, boolean wide) implements Tensor {
    long rowBytes() {
        return (long) cols * (wide ? Float.BYTES : Short.BYTES);
    }

    /** Device address of a row. */
    long row(int row) {
        return address + row * rowBytes();
    }
}
