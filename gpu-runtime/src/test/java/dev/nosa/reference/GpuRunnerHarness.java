package dev.nosa.reference;

import dev.nosa.backend.Backends;
import dev.nosa.backend.cuda.CudaBackend;
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
import dev.nosa.sample.SamplingParams;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.WindowMath;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * A CUDA runner with just the pages that its rows need, and the log-probabilities of the whole vocabulary that it gives for each
 * token it computes.
 */
final class GpuRunnerHarness implements AutoCloseable {
    static final int ROWS = 7;

    private final ModelConfig config;
    private final CudaBackend backend;
    private final ModelRunner runner;
    private final int maxTokens;
    private final int blocksPerRow;
    private final List<Integer> hostBlocks;

    /** @param slots of a layer and KV head; as many as blocks: nothing is offloaded */
    GpuRunnerHarness(ModelConfig config, AttentionMode mode, Checkpoint checkpoint, int slots, int maxTokens) {
        this.config = config;
        this.maxTokens = maxTokens;
        blocksPerRow = WindowMath.blocks(maxTokens, config.sparse());
        hostBlocks =
                new ArrayList<>(IntStream.range(0, ROWS * blocksPerRow).boxed().toList());
        Collections.shuffle(hostBlocks, new Random(1));
        KvLayout layout = new KvLayout(
                config.layers(),
                config.kvHeads(),
                config.headDim(),
                mode,
                config.sparse(),
                slots,
                Short.BYTES,
                Short.BYTES,
                true);
        // While a prompt is computed it has all its blocks.
        int pages = ROWS * (blocksPerRow + layout.statePages(maxTokens));
        RunnerOptions options =
                new RunnerOptions("cuda", 0, hostBlocks.size(), pages, maxTokens, ROWS, ROWS, 2 * maxTokens, "bf16", 0);
        backend = (CudaBackend) Backends.create("cuda", ModelRunners.options(config, layout, options));
        runner = ModelRunners.create(config, mode, checkpoint, backend);
    }

    /** Computes batches of decodes always or never in halves. */
    GpuRunnerHarness inHalves(boolean always) {
        backend.computeInHalves(always);
        return this;
    }

    /** The smallest number of slots that a layout takes. */
    static int fewestSlots(ModelConfig config) {
        return config.sparse().maxBudget() + 1;
    }

    /** Slots for all blocks of {@code maxTokens} tokens. */
    static int allSlots(ModelConfig config, int maxTokens) {
        return Math.max(fewestSlots(config), WindowMath.blocks(maxTokens, config.sparse()));
    }

    void open(int row) {
        runner.open(row, maxTokens);
    }

    void release(int row) {
        runner.release(row);
    }

    /** Forks after {@code length} tokens; both rows' tables name the same host block for each finished block. */
    void fork(int parent, int child, int length) {
        for (int b = 0; b < length / config.sparse().blockSize(); b++) {
            hostBlocks.set(child * blocksPerRow + b, hostBlocks.get(parent * blocksPerRow + b));
        }
        runner.fork(parent, child, length, maxTokens);
    }

    SequenceInput chunk(int row, int[] sequence, int from, int to) {
        return input(row, sequence, from, to, false, everyLogProb(to - from));
    }

    /** Like {@link #chunk}, without log-probabilities. */
    SequenceInput silentChunk(int row, int[] sequence, int from, int to) {
        return input(row, sequence, from, to, false, TokenRequest.NONE);
    }

    SequenceInput decode(int row, int[] sequence, int position) {
        return input(row, sequence, position, position + 1, true, everyLogProb(1));
    }

    private TokenRequest everyLogProb(int count) {
        int vocab = config.vocabSize();
        int[] rows = IntStream.range(0, count * vocab).map(i -> i / vocab).toArray();
        int[] ids = IntStream.range(0, count * vocab).map(i -> i % vocab).toArray();
        return new TokenRequest.Score(rows, ids);
    }

    private SequenceInput input(int row, int[] sequence, int from, int to, boolean decode, TokenRequest request) {
        int blocks = WindowMath.blocks(to, config.sparse());
        BlockTable table = BlockTable.of(IntStream.range(0, blocks)
                .map(b -> hostBlocks.get(row * blocksPerRow + b))
                .toArray());
        return new SequenceInput(row, from, Arrays.copyOfRange(sequence, from, to), table, decode, request);
    }

    List<SequenceOutput> run(SequenceInput... batch) {
        return runner.run(List.of(batch));
    }

    /** Computes tokens [from, to) in chunks: [t][vocab]. */
    float[][] prefill(int row, int[] sequence, int from, int to, int chunkTokens) {
        float[][] logProbs = new float[to - from][];
        for (int at = from; at < to; at += chunkTokens) {
            int end = Math.min(at + chunkTokens, to);
            float[][] part = split(run(chunk(row, sequence, at, end)).get(0));
            System.arraycopy(part, 0, logProbs, at - from, end - at);
        }
        return logProbs;
    }

    /** Computes tokens [from, to) one by one: [t][vocab]. */
    float[][] decode(int row, int[] sequence, int from, int to) {
        float[][] logProbs = new float[to - from][];
        for (int position = from; position < to; position++) {
            logProbs[position - from] =
                    split(run(decode(row, sequence, position)).get(0))[0];
        }
        return logProbs;
    }

    /** Prompt and greedy tokens; the last of them is not computed. */
    int[] generate(int row, int[] prompt, int count, int chunkTokens) {
        int[] sequence = Arrays.copyOf(prompt, prompt.length + count);
        for (int at = 0; at < prompt.length; at += chunkTokens) {
            int end = Math.min(at + chunkTokens, prompt.length);
            TokenRequest request = end < prompt.length ? TokenRequest.NONE : greedy();
            int token =
                    run(input(row, sequence, at, end, false, request)).get(0).token();
            sequence[prompt.length] = end < prompt.length ? 0 : token;
        }
        for (int position = prompt.length; position < sequence.length - 1; position++) {
            SequenceInput step = input(row, sequence, position, position + 1, true, greedy());
            sequence[position + 1] = run(step).get(0).token();
        }
        return sequence;
    }

    private static TokenRequest greedy() {
        return new TokenRequest.Sample(SamplingParams.GREEDY, new int[0], 0);
    }

    /** Log-probabilities of each computed token, [n][vocab]. */
    float[][] split(SequenceOutput output) {
        return RunnerHarness.split(output, config.vocabSize());
    }

    @Override
    public void close() {
        runner.close();
    }
}
