package dev.nosa.backend.cpu;

import dev.nosa.backend.Weight;
import dev.nosa.checkpoint.CheckpointTensor;
import dev.nosa.tensor.BFloat16;
import java.util.List;
import org.bytedeco.javacpp.FloatPointer;

/**
 * A weight matrix (out, in), packed for OpenBLAS: slices of 64 outputs, each transposed to (in, 64), so that one slice
 * is one task and one small product without a copy inside OpenBLAS. Kept as F32, or as BF16 that is widened at each
 * use.
 */
final class CpuWeight implements Weight, AutoCloseable {
    /** Outputs in a slice. 8 x 64 x in stays below OpenBLAS's limit for its small-matrix kernels up to in = 1953. */
    static final int SLICE = 64;

    private final int rows;
    private final int cols;
    private final NativeFloats f32;
    private final short[][] bf16;
    private float[] dense;

    private CpuWeight(int rows, int cols, boolean keepBf16) {
        this.rows = rows;
        this.cols = cols;
        f32 = keepBf16 ? null : new NativeFloats((long) rows * cols);
        bf16 = keepBf16 ? new short[(rows + SLICE - 1) / SLICE][] : null;
    }

    static CpuWeight matrix(List<CheckpointTensor> stacked, boolean keepBf16) {
        long rows = stacked.stream().mapToLong(tensor -> tensor.shape()[0]).sum();
        long cols = stacked.get(0).shape()[1];
        CpuWeight weight = new CpuWeight(Math.toIntExact(rows), Math.toIntExact(cols), keepBf16);
        weight.fill(stacked);
        return weight;
    }

    static CpuWeight vector(List<CheckpointTensor> parts) {
        int size = Math.toIntExact(
                parts.stream().mapToLong(CheckpointTensor::elements).sum());
        CpuWeight weight = new CpuWeight(1, size, false);
        weight.dense = new float[size];
        int at = 0;
        for (CheckpointTensor part : parts) {
            int count = (int) part.elements();
            part.read(0, weight.dense, at, count);
            at += count;
        }
        return weight;
    }

    private void fill(List<CheckpointTensor> stacked) {
        float[] row = new float[cols];
        float[] slice = new float[cols * Math.min(SLICE, rows)];
        int at = 0;
        for (CheckpointTensor tensor : stacked) {
            for (long r = 0; r < tensor.shape()[0]; r++, at++) {
                tensor.read(r * cols, row, 0, cols);
                int s = at / SLICE;
                int width = width(s);
                for (int k = 0; k < cols; k++) {
                    slice[k * width + at % SLICE] = row[k];
                }
                if (at % SLICE == width - 1) {
                    store(s, slice);
                }
            }
        }
    }

    private void store(int s, float[] slice) {
        int count = cols * width(s);
        if (f32 != null) {
            f32.put(offset(s), slice, 0, count);
        } else {
            bf16[s] = new short[count];
            BFloat16.fromFloat(slice, bf16[s], count);
        }
    }

    @Override
    public int rows() {
        return rows;
    }

    @Override
    public int cols() {
        return cols;
    }

    int slices() {
        return (rows + SLICE - 1) / SLICE;
    }

    /** Outputs in slice {@code s}. */
    int width(int s) {
        return Math.min(SLICE, rows - s * SLICE);
    }

    private int offset(int s) {
        return Math.multiplyExact(s * SLICE, cols);
    }

    /** Points {@code view} at slice {@code s} as (in, width) F32, through the worker's scratch where it has to be widened. */
    FloatPointer slice(int s, CpuWorker worker) {
        if (f32 != null) {
            return f32.view().position(offset(s));
        }
        short[] packed = bf16[s];
        float[] wide = worker.heap(packed.length);
        BFloat16.toFloat(packed, wide, packed.length);
        NativeFloats target = worker.weights(packed.length);
        target.put(0, wide, 0, packed.length);
        return target.view().position(0);
    }

    /** Copies row {@code r} (one embedding, or a vector's values) to {@code target}. */
    void row(int r, float[] target, int targetOffset) {
        int s = r / SLICE;
        int width = width(s);
        int column = r % SLICE;
        for (int k = 0; k < cols; k++) {
            int at = k * width + column;
            target[targetOffset + k] = f32 != null ? f32.get(offset(s) + at) : BFloat16.toFloat(bf16[s][at]);
        }
    }

    /** All values in rows, on the heap and kept: for vectors and the importance head. */
    float[] dense() {
        if (dense == null) {
            float[] values = new float[Math.multiplyExact(rows, cols)];
            for (int r = 0; r < rows; r++) {
                row(r, values, r * cols);
            }
            dense = values;
        }
        return dense;
    }

    @Override
    public void close() {
        if (f32 != null) {
            f32.close();
        }
    }
}
