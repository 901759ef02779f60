package dev.nosa.backend.cuda;

/** Kernels of elementwise.cu. Engine thread. */
final class Elementwise {
    private static final int THREADS = 256;
    /** Values of a thread. */
    private static final int VECTOR = 8;

    private final CudaStream stream;
    private final Kernel embed;
    private final Kernel rmsNorm;
    private final Kernel siluMul;
    private final KernelArgs args = new KernelArgs();

    Elementwise(KernelLibrary library, CudaStream stream) {
        this.stream = stream;
        embed = library.kernel("embed");
        rmsNorm = library.kernel("rms_norm");
        siluMul = library.kernel("silu_mul");
    }

    /** @param tokens device address of one int32 a row */
    void embed(CudaWeight table, long tokens, CudaTensor out) {
        args.clear()
                .putPointer(tokens)
                .putPointer(table.address())
                .putInt(out.cols())
                .putPointer(out.address());
        embed.launch(stream, out.rows(), 1, 1, THREADS, 0, args);
    }

    void rmsNorm(CudaTensor x, CudaWeight gain, float eps, CudaTensor out) {
        args.clear().putPointer(x.address()).putPointer(gain.address()).putFloat(eps);
        args.putInt(out.cols()).putPointer(out.address());
        rmsNorm.launch(stream, out.rows(), 1, 1, THREADS, 0, args);
    }

    void siluMul(CudaTensor gateUp, CudaTensor out) {
        args.clear().putPointer(gateUp.address()).putInt(out.cols()).putPointer(out.address());
        int columns = THREADS * VECTOR;
        siluMul.launch(stream, (out.cols() + columns - 1) / columns, out.rows(), 1, THREADS, 0, args);
    }
}
