package dev.nosa.backend.cuda;

/** What is read off logits (sample.cu); each call waits for its result. Engine thread. */
final class TokenKernels implements AutoCloseable {
    private static final int THREADS = 1024;

    private final CudaStream stream;
    private final Kernel argMax;
    private final Kernel logProbs;
    private final KernelArgs args = new KernelArgs();
    private final PinnedBuffer host;
    private final DeviceBuffer device;

    /** @param maxRows rows of logits at once */
    TokenKernels(CudaContext context, CudaStream stream, KernelLibrary library, int maxRows) {
        this.stream = stream;
        argMax = library.kernel("arg_max");
        logProbs = library.kernel("log_probs");
        host = PinnedBuffer.allocate(context, 3L * maxRows * Integer.BYTES);
        device = DeviceBuffer.allocate(context, host.bytes());
    }

    /**
     * The likeliest token of each row, or -1 - t for the first token t whose logit is not finite.
     *
     * @param done recorded behind the work
     */
    int[] argMax(CudaTensor logits, CudaEvent done) {
        args.clear().putPointer(logits.address()).putInt(logits.cols()).putPointer(device);
        argMax.launch(stream, logits.rows(), 1, 1, THREADS, 0, args);
        done.record(stream);
        int[] tokens = new int[logits.rows()];
        read(0, tokens.length);
        host.buffer().asIntBuffer().get(0, tokens);
        return tokens;
    }

    /** {@code log softmax(logits[rows[i]])[tokens[i]]}, NaN where a logit of the row is not finite. */
    float[] logProbs(CudaTensor logits, int[] rows, int[] tokens) {
        float[] result = new float[rows.length];
        int most = (int) (host.bytes() / (3 * Integer.BYTES));
        for (int from = 0; from < rows.length; from += most) {
            int count = Math.min(most, rows.length - from);
            host.buffer().asIntBuffer().put(0, rows, from, count).put(count, tokens, from, count);
            device.copyFrom(stream, 0, host, 0, 2L * count * Integer.BYTES);
            long at = device.address();
            args.clear().putPointer(logits.address()).putInt(logits.cols()).putPointer(at);
            args.putPointer(at + (long) count * Integer.BYTES).putPointer(at + 2L * count * Integer.BYTES);
            logProbs.launch(stream, count, 1, 1, THREADS, 0, args);
            read(2 * count, count);
            host.buffer().asFloatBuffer().get(2 * count, result, from, count);
        }
        return result;
    }

    private void read(int from, int count) {
        long offset = (long) from * Integer.BYTES;
        device.copyTo(stream, offset, host, offset, (long) count * Integer.BYTES);
        stream.synchronize();
    }

    @Override
    public void close() {
        device.close();
        host.close();
    }
}
