package dev.nosa.backend.cpu;

import static org.bytedeco.openblas.global.openblas.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas.CblasRowMajor;
import static org.bytedeco.openblas.global.openblas.blas_set_num_threads;
import static org.bytedeco.openblas.global.openblas.cblas_sgemm;

import org.bytedeco.javacpp.FloatPointer;

/** Products of activations with weights through OpenBLAS: one task a tile of rows and slice of outputs. */
final class CpuLinear implements AutoCloseable {
    private final CpuThreads threads;
    private final CpuWorker[] workers;
    private NativeFloats input = new NativeFloats(0);
    private NativeFloats output = new NativeFloats(0);
    private long flops;
    private long nanos;

    CpuLinear(CpuThreads threads, CpuWorker[] workers) {
        this.threads = threads;
        this.workers = workers;
        blas_set_num_threads(1); // the tasks are the parallelism; OpenBLAS's own threads would compete with them
    }

    /** {@code out = x w^T + bias}, or {@code out += ...}; the bias may be null. */
    void multiply(CpuTensor x, CpuWeight w, CpuWeight bias, RowTiles tiles, boolean add, CpuTensor out) {
        input = CpuWorker.grown(input, (long) tiles.paddedRows() * w.cols());
        output = CpuWorker.grown(output, (long) tiles.paddedRows() * w.rows());
        int count = tiles.tiles().size();
        forTiles(tiles, (worker, t) -> stage(x, tiles.tiles().get(t), w.cols()));
        long start = System.nanoTime();
        threads.run(count * w.slices(), (worker, task) -> {
            RowTiles.Tile tile = tiles.tiles().get(task % count);
            product(w, task / count, tile, workers[worker]);
        });
        nanos += System.nanoTime() - start;
        flops += 2L * tiles.paddedRows() * w.rows() * w.cols();
        float[] biases = bias == null ? null : bias.dense();
        forTiles(tiles, (worker, t) -> unstage(tiles.tiles().get(t), biases, add, out, workers[worker]));
    }

    /** All products so far, padding included, and the time they took. */
    ProductStats stats() {
        return new ProductStats(flops, nanos);
    }

    /** A decode batch is too little to share out. */
    private void forTiles(RowTiles tiles, CpuThreads.Task task) {
        int count = tiles.tiles().size();
        if (count <= 1) {
            task.run(0, 0);
        } else {
            threads.run(count, task);
        }
    }

    /** Copies a tile's rows; what stands in the padding is of no concern to them. */
    private void stage(CpuTensor x, RowTiles.Tile tile, int cols) {
        input.put(tile.stagedFirst() * cols, x.data(), tile.firstRow() * cols, tile.count() * cols);
    }

    private void product(CpuWeight w, int s, RowTiles.Tile tile, CpuWorker worker) {
        FloatPointer a = input.view();
        FloatPointer b = w.slice(s, worker);
        FloatPointer c = output.view();
        int step = SmallProducts.rows(tile.rows(), w.width(s), w.cols());
        for (int done = 0; done < tile.rows(); done += step) {
            int rows = Math.min(step, tile.rows() - done);
            long row = (long) tile.staged() + done;
            a.position(row * w.cols());
            c.position(row * w.rows() + (long) s * CpuWeight.SLICE);
            gemm(rows, w.width(s), w.cols(), a, w.cols(), b, w.width(s), 0f, c, w.rows());
        }
    }

    /** {@code C = A B + beta C}, row-major: A (m, k), B (k, n), C (m, n). */
    @SuppressWarnings("checkstyle:ParameterNumber") // BLAS's own signature
    static void gemm(
            int m,
            int n,
            int k,
            FloatPointer a,
            int lda,
            FloatPointer b,
            int ldb,
            float beta,
            FloatPointer c,
            int ldc) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1f, a, lda, b, ldb, beta, c, ldc);
    }

    private void unstage(RowTiles.Tile tile, float[] bias, boolean add, CpuTensor out, CpuWorker worker) {
        int cols = out.cols();
        int count = tile.count() * cols;
        float[] target = out.data();
        int at = tile.firstRow() * cols;
        if (add) {
            float[] product = worker.heap(count);
            output.get(tile.stagedFirst() * cols, product, 0, count);
            for (int i = 0; i < count; i++) {
                target[at + i] += product[i];
            }
        } else {
            output.get(tile.stagedFirst() * cols, target, at, count);
        }
        if (bias != null) {
            for (int i = 0; i < count; i++) {
                target[at + i] += bias[i % cols];
            }
        }
    }

    @Override
    public void close() {
        input.close();
        output.close();
    }
}
