package dev.nosa.runner;

import dev.nosa.backend.KvTraffic;
import dev.nosa.backend.cpu.CpuBackend;
import dev.nosa.backend.cpu.ProductStats;
import dev.nosa.cache.BlockTable;
import dev.nosa.cache.KvLayout;
import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.model.ModelConfig;
import dev.nosa.sample.SamplingParams;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.WindowMath;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** Speed of one attention mode on the CPU backend, without engine or Spark: prompts of random tokens, greedy decoding. */
public final class RunnerBench implements AutoCloseable {
    private static final int STEP_TOKENS = 256;
    private static final int WARM_UP_STEPS = 32;

    private final ModelConfig model;
    private final Plan plan;
    private final CpuBackend backend;
    private final ModelRunner runner;
    private final int blocksPerRow;
    private final Random random = new Random(1);

    /**
     * What to measure.
     *
     * @param context tokens of each prompt
     * @param newTokens decode steps of one measurement
     * @param repeats measurements, of which the median counts
     * @param maxBatch the largest batch
     * @param threads CPU threads
     */
    public record Plan(int context, int newTokens, int repeats, int maxBatch, int threads) {
        int maxTokens() {
            return context + WARM_UP_STEPS + newTokens * repeats;
        }
    }

    /**
     * Prefill of one prompt.
     *
     * @param tokensPerSecond attention included
     * @param products the products with weights alone
     */
    public record Prefill(double tokensPerSecond, ProductStats products) {}

    /**
     * Decoding of a batch.
     *
     * @param tokensPerSecond of all sequences together
     * @param turnover blocks replaced per head and step
     */
    public record Decode(int batch, double tokensPerSecond, double turnover) {}

    public RunnerBench(ModelConfig model, AttentionMode mode, Checkpoint checkpoint, Plan plan) {
        this.model = model;
        this.plan = plan;
        blocksPerRow = WindowMath.blocks(plan.maxTokens(), model.sparse());
        KvLayout layout = new KvLayout(
                model.layers(),
                model.kvHeads(),
                model.headDim(),
                mode,
                model.sparse(),
                2 * model.sparse().maxBudget(),
                Float.BYTES,
                Float.BYTES);
        backend = new CpuBackend(
                ModelRunners.shape(model),
                layout,
                blocksPerRow * plan.maxBatch(),
                plan.maxBatch(),
                plan.threads(),
                false);
        runner = ModelRunners.create(model, mode, checkpoint, backend);
    }

    /** Prefills one prompt {@code repeats} times, after one that warms up. */
    public Prefill prefill() {
        int[] prompt = prompt();
        fill(0, prompt);
        runner.release(0);
        double[] speeds = new double[plan.repeats()];
        ProductStats before = backend.productStats();
        for (int i = 0; i < speeds.length; i++) {
            long start = System.nanoTime();
            fill(0, prompt);
            speeds[i] = plan.context() / seconds(start);
            runner.release(0);
        }
        return new Prefill(median(speeds), backend.productStats().minus(before));
    }

    /** Decodes {@code batch} sequences together. */
    public Decode decode(int batch) {
        int[] tokens = new int[batch];
        for (int row = 0; row < batch; row++) {
            tokens[row] = fill(row, prompt());
        }
        int position = plan.context();
        for (int step = 0; step < WARM_UP_STEPS; step++) {
            step(tokens, position++);
        }
        double[] speeds = new double[plan.repeats()];
        KvTraffic traffic = KvTraffic.NONE;
        for (int i = 0; i < speeds.length; i++) {
            long start = System.nanoTime();
            for (int step = 0; step < plan.newTokens(); step++) {
                traffic = traffic.plus(step(tokens, position++));
            }
            speeds[i] = batch * plan.newTokens() / seconds(start);
        }
        for (int row = 0; row < batch; row++) {
            runner.release(row);
        }
        double heads = (double) model.layers() * model.kvHeads() * batch * plan.newTokens() * plan.repeats();
        return new Decode(batch, median(speeds), traffic.missed() / heads);
    }

    private int[] prompt() {
        return random.ints(plan.context(), 0, model.vocabSize()).toArray();
    }

    private BlockTable table(int row) {
        return BlockTable.of(
                IntStream.range(row * blocksPerRow, (row + 1) * blocksPerRow).toArray());
    }

    /** Opens a row, prefills the prompt and returns the first token after it. */
    private int fill(int row, int[] prompt) {
        runner.open(row, plan.maxTokens());
        int token = SequenceOutput.NO_TOKEN;
        for (int start = 0; start < prompt.length; start += STEP_TOKENS) {
            int end = Math.min(prompt.length, start + STEP_TOKENS);
            TokenRequest request = end == prompt.length ? greedy() : TokenRequest.NONE;
            int[] chunk = Arrays.copyOfRange(prompt, start, end);
            token = runner.run(List.of(new SequenceInput(row, start, chunk, table(row), false, request)))
                    .get(0)
                    .token();
        }
        return token;
    }

    private KvTraffic step(int[] tokens, int position) {
        List<SequenceInput> inputs = new ArrayList<>();
        for (int row = 0; row < tokens.length; row++) {
            inputs.add(new SequenceInput(row, position, new int[] {tokens[row]}, table(row), true, greedy()));
        }
        List<SequenceOutput> outputs = runner.run(inputs);
        KvTraffic traffic = KvTraffic.NONE;
        for (int row = 0; row < tokens.length; row++) {
            tokens[row] = outputs.get(row).token();
            traffic = traffic.plus(outputs.get(row).traffic());
        }
        return traffic;
    }

    static TokenRequest greedy() {
        return new TokenRequest.Sample(SamplingParams.GREEDY, new int[0], 0);
    }

    static double seconds(long startNanos) {
        return (System.nanoTime() - startNanos) / 1e9;
    }

    static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }

    @Override
    public void close() {
        runner.close();
    }
}
