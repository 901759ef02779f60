package dev.nosa.reference;

import dev.nosa.backend.Backend;
import dev.nosa.backend.Backends;
import dev.nosa.backend.BatchInputs;
import dev.nosa.backend.cpu.ResidentBlocks;
import dev.nosa.cache.BlockTable;
import dev.nosa.cache.KvLayout;
import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.model.LlamaModel;
import dev.nosa.model.ModelConfig;
import dev.nosa.model.ModelLoader;
import dev.nosa.runner.ModelRunners;
import dev.nosa.runner.RunnerOptions;
import dev.nosa.sparse.WindowMath;
import dev.nosa.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A model on the CPU backend in F32 that runs one sequence and shows which blocks a token attends: a fork begins with
 * empty slots, so what it holds after one decode step is what that step selected.
 */
final class SelectionProbe implements AutoCloseable {
    private static final int ROW = 0;
    private static final int FORK = 1;
    private static final int ROWS = 2;
    private static final int THREADS = 2;

    private final ModelConfig config;
    private final Backend backend;
    private final LlamaModel model;
    private final int maxTokens;

    /** One decode step of a fork: logits [vocab], and the attended blocks [layer][KV head]. */
    record Step(float[] logits, int[][][] blocks) {}

    SelectionProbe(ModelConfig config, Checkpoint checkpoint, int maxTokens) {
        this.config = config;
        this.maxTokens = maxTokens;
        KvLayout layout = new KvLayout(
                config.layers(),
                config.kvHeads(),
                config.headDim(),
                config.mode(),
                config.sparse(),
                RunnerHarness.fewestSlots(config),
                Float.BYTES,
                Float.BYTES);
        int hostBlocks = WindowMath.blocks(maxTokens, config.sparse());
        RunnerOptions options =
                new RunnerOptions("cpu", 0, hostBlocks, 0, maxTokens, ROWS, ROWS, maxTokens, "f32", THREADS);
        backend = Backends.create("cpu", ModelRunners.options(config, layout, options));
        model = ModelLoader.load(config, checkpoint, backend, config.mode().usesImportance());
    }

    /** Begins another sequence. */
    void open() {
        backend.kv().open(ROW, maxTokens);
    }

    /** Ends the sequence. */
    void release() {
        backend.kv().release(ROW);
    }

    /** Prefills tokens [from, to) of the sequence and returns the logits of the last one. */
    float[] prefill(int[] sequence, int from, int to) {
        return run(ROW, sequence, from, to, false);
    }

    /** Decodes the token at {@code position} and returns its logits. */
    float[] decode(int[] sequence, int position) {
        return run(ROW, sequence, position, position + 1, true);
    }

    /** Decodes the token at {@code position} in a fork, which leaves the sequence as it is. */
    Step decodeInFork(int[] sequence, int position) {
        backend.kv().fork(ROW, FORK, position, maxTokens);
        float[] logits = run(FORK, sequence, position, position + 1, true);
        int count = WindowMath.blocks(position + 1, config.sparse());
        int[][][] blocks = new int[config.layers()][config.kvHeads()][];
        for (int layer = 0; layer < config.layers(); layer++) {
            for (int head = 0; head < config.kvHeads(); head++) {
                blocks[layer][head] = ResidentBlocks.of(backend.kv(), FORK, layer, head, count);
            }
        }
        backend.kv().release(FORK);
        return new Step(logits, blocks);
    }

    /** Both rows name the same host blocks: what the fork writes there is what its parent would write. */
    private float[] run(int row, int[] sequence, int from, int to, boolean decode) {
        int count = WindowMath.blocks(to, config.sparse());
        BlockTable table = BlockTable.of(IntStream.range(0, count).toArray());
        BatchInputs.Slice slice = new BatchInputs.Slice(0, to - from, from, row, table, decode);
        Tensor hidden = model.forward(new BatchInputs(Arrays.copyOfRange(sequence, from, to), List.of(slice)));
        float[] logits = new float[config.vocabSize()];
        backend.read(model.logits(hidden, new int[] {to - from - 1}), 0, logits);
        return logits;
    }

    @Override
    public void close() {
        backend.close();
    }
}
