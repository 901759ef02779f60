package dev.nosa.backend.cpu;

import dev.nosa.tensor.Tensor;

/** Activations on the heap, where the JIT vectorizes loops over them. */
record CpuTensor(float[] data, int rows, int cols) implements Tensor {
    static CpuTensor allocate(int rows, int cols) {
        return new CpuTensor(new float[Math.multiplyExact(rows, cols)], rows, cols);
    }

    static float[] data(Tensor tensor) {
        return ((CpuTensor) tensor).data;
    }
}
