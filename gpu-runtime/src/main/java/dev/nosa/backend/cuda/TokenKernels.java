package dev.nosa.backend.cuda;

import dev.nosa.backend.TokenChoice;
import dev.nosa.sample.Sampler;
import dev.nosa.sample.SamplingParams;
import java.nio.ByteBuffer;
import java.nio.IntBuffer;
import java.util.List;

/** What is read off logits (sample.cu); each call waits for its result. Engine thread. */
final class TokenKernels implements AutoCloseable {
    private static final int THREADS = 1024;

    /** Of a choice in sample.cu. */
    private static final int CHOICE_BYTES = 24;

    private final CudaStream stream;
    private final Kernel argMax;
    private final Kernel sample;
    private final Kernel logProbs;
    private final KernelArgs args = new KernelArgs();
    private final int maxRows;
    private final PinnedBuffer host;
    private final DeviceBuffer device;

    /** @param maxRows rows of logits, and choices, at once */
    TokenKernels(CudaContext context, CudaStream stream, KernelLibrary library, int maxRows) {
        this.stream = stream;
        this.maxRows = maxRows;
        argMax = library.kernel("arg_max");
        sample = library.kernel("sample");
        logProbs = library.kernel("log_probs");
        host = PinnedBuffer.allocate(context, (long) maxRows * (CHOICE_BYTES + 2 * Integer.BYTES));
        device = DeviceBuffer.allocate(context, host.bytes());
    }

    /** Whether {@link #sample} picks the token: there is no repetition penalty, which is applied on the host. */
    static boolean picks(TokenChoice choice) {
        return choice.params().repetitionPenalty() == 1;
    }

    /**
     * The token of each choice that {@link #picks} holds for, as {@link Sampler} picks it except where the rounding of a sum
     * decides, or -1 - t for the first token t whose logit is not finite; 0 for the other choices.
     *
     * @param done recorded behind the work
     */
    int[] sample(CudaTensor logits, List<TokenChoice> choices, CudaEvent done) {
        int results = maxRows * CHOICE_BYTES; // those drawn, then the likeliest of all rows
        List<TokenChoice> drawn = choices.stream().filter(TokenKernels::isDrawn).toList();
        int count = drawn.size();
        if (count > 0) {
            upload(drawn);
            args.clear().putPointer(logits.address()).putInt(logits.cols()).putPointer(device);
            args.putPointer(device.address(results));
            sample.launch(stream, count, 1, 1, THREADS, 0, args);
        }
        if (choices.stream().anyMatch(TokenChoice::isArgMax)) {
            args.clear().putPointer(logits.address()).putInt(logits.cols());
            args.putPointer(device.address(results + (long) count * Integer.BYTES));
            argMax.launch(stream, logits.rows(), 1, 1, THREADS, 0, args);
            count += logits.rows();
        }
        done.record(stream);
        read(results, count);
        IntBuffer picked = host.buffer(results, count * Integer.BYTES).asIntBuffer();
        int next = 0;
        int[] tokens = new int[choices.size()];
        for (int i = 0; i < tokens.length; i++) {
            TokenChoice choice = choices.get(i);
            if (choice.isArgMax()) {
                tokens[i] = picked.get(drawn.size() + choice.row());
            } else if (isDrawn(choice)) {
                tokens[i] = picked.get(next++);
            }
        }
        return tokens;
    }

    private static boolean isDrawn(TokenChoice choice) {
        return picks(choice) && !choice.isArgMax();
    }

    private void upload(List<TokenChoice> choices) {
        ByteBuffer target = host.buffer(0, maxRows * CHOICE_BYTES);
        for (TokenChoice choice : choices) {
            SamplingParams params = choice.params();
            target.putInt(choice.row()).putInt(params.topK());
            target.putFloat(params.temperature()).putFloat(params.topP());
            target.putDouble(Sampler.uniform(params.seed(), choice.position()));
        }
        device.copyFrom(stream, 0, host, 0, target.position());
    }

    /** {@code log softmax(logits[rows[i]])[tokens[i]]}, NaN where a logit of the row is not finite. */
    float[] logProbs(CudaTensor logits, int[] rows, int[] tokens) {
        float[] result = new float[rows.length];
        for (int from = 0; from < rows.length; from += maxRows) {
            int count = Math.min(maxRows, rows.length - from);
            host.buffer().asIntBuffer().put(0, rows, from, count).put(count, tokens, from, count);
            device.copyFrom(stream, 0, host, 0, 2L * count * Integer.BYTES);
            long at = device.address();
            args.clear().putPointer(logits.address()).putInt(logits.cols()).putPointer(at);
            args.putPointer(at + (long) count * Integer.BYTES).putPointer(at + 2L * count * Integer.BYTES);
            logProbs.launch(stream, count, 1, 1, THREADS, 0, args);
            read(2 * count * Integer.BYTES, count);
            host.buffer().asFloatBuffer().get(2 * count, result, from, count);
        }
        return result;
    }

    /** Waits for ints at an offset in bytes. */
    private void read(long offset, int count) {
        device.copyTo(stream, offset, host, offset, (long) count * Integer.BYTES);
        stream.synchronize();
    }

    @Override
    public void close() {
        device.close();
        host.close();
    }
}
