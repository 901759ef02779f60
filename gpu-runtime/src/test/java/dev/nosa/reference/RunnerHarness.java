package dev.nosa.reference;

import dev.nosa.cache.BlockTable;
import dev.nosa.cache.KvLayout;
import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.model.ModelConfig;
import dev.nosa.runner.ModelRunner;
import dev.nosa.runner.ModelRunners;
import dev.nosa.runner.RunnerOptions;
import dev.nosa.runner.SequenceInput;
import dev.nosa.runner.SequenceOutput;
import dev.nosa.runner.TokenRequest;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.WindowMath;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** A CPU runner, and the log-probabilities of the whole vocabulary that it gives for each token it computes. */
final class RunnerHarness implements AutoCloseable {
    private static final int ROWS = 4;

    private final ModelConfig config;
    private final ModelRunner runner;
    private final int maxTokens;
    private final int blocksPerRow;
    private final List<Integer> hostBlocks;

    /** How a CPU runner computes what must not depend on it, or only as its types say. */
    record Arithmetic(String kvDtype, String weightDtype, int threads) {
        static final Arithmetic DEFAULT = new Arithmetic("f32", "f32", 2);
    }

    RunnerHarness(ModelConfig config, AttentionMode mode, Checkpoint checkpoint, int slots, int maxTokens) {
        this(config, mode, checkpoint, slots, maxTokens, Arithmetic.DEFAULT);
    }

    RunnerHarness(
            ModelConfig config,
            AttentionMode mode,
            Checkpoint checkpoint,
            int slots,
            int maxTokens,
            Arithmetic arithmetic) {
        this.config = config;
        this.maxTokens = maxTokens;
        blocksPerRow = WindowMath.blocks(maxTokens, config.sparse());
        hostBlocks =
                new ArrayList<>(IntStream.range(0, ROWS * blocksPerRow).boxed().toList());
        Collections.shuffle(hostBlocks, new Random(1));
        int hostBytes = arithmetic.kvDtype.equals("bf16") ? Short.BYTES : Float.BYTES;
        KvLayout layout = new KvLayout(
                config.layers(),
                config.kvHeads(),
                config.headDim(),
                mode,
                config.sparse(),
                slots,
                hostBytes,
                Float.BYTES);
        RunnerOptions options = new RunnerOptions(
                "cpu",
                0,
                hostBlocks.size(),
                0,
                maxTokens,
                ROWS,
                ROWS,
                maxTokens,
                arithmetic.weightDtype,
                arithmetic.threads);
        runner = ModelRunners.create(config, mode, checkpoint, layout, options);
    }

    /** The smallest number of slots that a layout takes. */
    static int fewestSlots(ModelConfig config) {
        return config.sparse().maxBudget() + 1;
    }

    void open(int row) {
        runner.open(row, maxTokens);
    }

    void release(int row) {
        runner.release(row);
    }

    /** Forks after {@code length} tokens; both rows' tables name the same host block for each finished block. */
    void fork(int parent, int child, int length) {
        int finished = length / config.sparse().blockSize();
        for (int b = 0; b < finished; b++) {
            hostBlocks.set(child * blocksPerRow + b, hostBlocks.get(parent * blocksPerRow + b));
        }
        runner.fork(parent, child, length, maxTokens);
    }

    /** Tokens [from, to) of a sequence as a prefill chunk. */
    SequenceInput chunk(int row, int[] sequence, int from, int to) {
        return input(row, sequence, from, to, false);
    }

    /** Like {@link #chunk}, without log-probabilities. */
    SequenceInput silentChunk(int row, int[] sequence, int from, int to) {
        int[] tokens = Arrays.copyOfRange(sequence, from, to);
        return new SequenceInput(row, from, tokens, table(row, to), false, TokenRequest.NONE);
    }

    /** The token at {@code position} of a sequence as a decode step. */
    SequenceInput decode(int row, int[] sequence, int position) {
        return input(row, sequence, position, position + 1, true);
    }

    private SequenceInput input(int row, int[] sequence, int from, int to, boolean decode) {
        int vocab = config.vocabSize();
        int[] rows = IntStream.range(0, (to - from) * vocab).map(i -> i / vocab).toArray();
        int[] ids = IntStream.range(0, (to - from) * vocab).map(i -> i % vocab).toArray();
        int[] tokens = Arrays.copyOfRange(sequence, from, to);
        return new SequenceInput(row, from, tokens, table(row, to), decode, new TokenRequest.Score(rows, ids));
    }

    private BlockTable table(int row, int tokens) {
        int blocks = WindowMath.blocks(tokens, config.sparse());
        return BlockTable.of(IntStream.range(0, blocks)
                .map(b -> hostBlocks.get(row * blocksPerRow + b))
                .toArray());
    }

    List<SequenceOutput> run(SequenceInput... batch) {
        return runner.run(List.of(batch));
    }

    /** Prefills a fresh row in chunks and releases it: [t][vocab]. */
    float[][] prefill(int[] sequence, int chunkTokens) {
        open(0);
        float[][] logProbs = new float[sequence.length][];
        for (int from = 0; from < sequence.length; from += chunkTokens) {
            int to = Math.min(from + chunkTokens, sequence.length);
            System.arraycopy(split(run(chunk(0, sequence, from, to)).get(0)), 0, logProbs, from, to - from);
        }
        release(0);
        return logProbs;
    }

    /** Log-probabilities of each computed token, [n][vocab]. */
    float[][] split(SequenceOutput output) {
        return split(output, config.vocabSize());
    }

    static float[][] split(SequenceOutput output, int vocab) {
        float[][] rows = new float[output.logProbs().length / vocab][];
        for (int n = 0; n < rows.length; n++) {
            rows[n] = Arrays.copyOfRange(output.logProbs(), n * vocab, (n + 1) * vocab);
        }
        return rows;
    }

    @Override
    public void close() {
        runner.close();
    }
}
