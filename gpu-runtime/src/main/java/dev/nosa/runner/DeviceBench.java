package dev.nosa.runner;

import dev.nosa.backend.Backends;
import dev.nosa.backend.DeviceRates;
import dev.nosa.backend.KvTraffic;
import dev.nosa.backend.cuda.CudaBackend;
import dev.nosa.cache.BlockTable;
import dev.nosa.cache.DeviceMemory;
import dev.nosa.cache.KvLayout;
import dev.nosa.checkpoint.RandomCheckpoint;
import dev.nosa.model.ModelConfig;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.WindowMath;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Speed of one attention mode on a GPU, without engine or Spark: a model with random weights, one prompt of random tokens, and a
 * batch of sequences that all go on from it, each with host blocks of its own.
 */
public final class DeviceBench implements AutoCloseable {
    private static final int DEVICE = 0;
    private static final int CHUNK = 8192;
    /** Until slots have what the turnover leaves there, and Java is compiled. */
    private static final int WARM_UP_STEPS = 160;

    private final ModelConfig model;
    private final AttentionMode mode;
    private final Plan plan;
    private final int batch;
    private final KvLayout layout;
    private final CudaBackend backend;
    private final ModelRunner runner;
    private final int blocksPerRow;
    private final Map<Integer, BlockTable> tables = new HashMap<>();
    private int[] tokens;
    private int position;

    /**
     * What to measure.
     *
     * @param context tokens of the prompt
     * @param newTokens decode steps of one measurement
     * @param repeats measurements, of which the median counts
     * @param slots blocks of a sequence, layer and KV head
     * @param decodes how often {@link #decode} will be called
     */
    public record Plan(int context, int newTokens, int repeats, int slots, int decodes) {
        public int maxTokens() {
            return context + (WARM_UP_STEPS + newTokens * repeats + 1) * decodes + 1;
        }
    }

    /**
     * Decoding of a batch.
     *
     * @param millis of a step, median
     * @param hostMillis of them, mean, in which the GPU had nothing to do
     * @param fetched blocks that a KV head did not find in its slots, in a step
     * @param linkBytes fetched and written in a step
     * @param inHalves whether the last step was computed in halves
     */
    public record Decode(
            int batch, double millis, double hostMillis, double fetched, double linkBytes, boolean inHalves) {
        public double tokensPerSecond() {
            return batch / millis * 1e3;
        }
    }

    /** The layout of a model in BF16 pages. */
    public static KvLayout layout(ModelConfig model, AttentionMode mode, int slots) {
        return new KvLayout(
                model.layers(),
                model.kvHeads(),
                model.headDim(),
                mode,
                model.sparse(),
                slots,
                Short.BYTES,
                Short.BYTES,
                true);
    }

    /** What the GPU has, and the model needs. */
    public static DeviceMemory memory(ModelConfig model, AttentionMode mode, int slots, int maxContext) {
        KvLayout layout = layout(model, mode, slots);
        RunnerOptions options = new RunnerOptions(Backends.CUDA, DEVICE, 0, 0, maxContext, 0, 0, CHUNK, "bf16", 0);
        return ModelRunners.deviceMemory(model, layout, options);
    }

    /** @throws IllegalArgumentException if there is no GPU that can be used; the message says why */
    public static DeviceRates rates() {
        Backends.resolve(Backends.CUDA, DEVICE);
        return CudaBackend.rates(DEVICE);
    }

    /** @param pages of the device tier */
    public DeviceBench(ModelConfig model, AttentionMode mode, Plan plan, int batch, int pages) {
        this.model = model;
        this.mode = mode;
        this.plan = plan;
        this.batch = batch;
        layout = layout(model, mode, plan.slots());
        blocksPerRow = WindowMath.blocks(plan.maxTokens(), model.sparse());
        RunnerOptions options = new RunnerOptions(
                Backends.CUDA, DEVICE, blocksPerRow * batch, pages, plan.maxTokens(), batch, batch, CHUNK, "bf16", 0);
        backend = (CudaBackend) Backends.create(Backends.CUDA, ModelRunners.options(model, layout, options));
        runner = ModelRunners.create(model, mode, new RandomCheckpoint(), backend);
    }

    /** Prefills the prompt {@code repeats} times and returns the median of tokens per second; the last one stays. */
    public double prefill() {
        int[] prompt = new Random(1).ints(plan.context(), 0, model.vocabSize()).toArray();
        double[] speeds = new double[plan.repeats()];
        for (int i = -1; i < speeds.length; i++) {
            if (i >= 0) {
                runner.release(0);
            }
            runner.open(0, plan.maxTokens());
            long start = System.nanoTime();
            int token = fill(prompt);
            if (i >= 0) {
                speeds[i] = plan.context() / RunnerBench.seconds(start);
            }
            tokens = new int[batch];
            Arrays.fill(tokens, token);
        }
        position = plan.context();
        return RunnerBench.median(speeds);
    }

    private int fill(int[] prompt) {
        int token = SequenceOutput.NO_TOKEN;
        for (int start = 0; start < prompt.length; start += CHUNK) {
            int end = Math.min(prompt.length, start + CHUNK);
            TokenRequest request = end == prompt.length ? RunnerBench.greedy() : TokenRequest.NONE;
            int[] chunk = Arrays.copyOfRange(prompt, start, end);
            token = runner.run(List.of(new SequenceInput(0, start, chunk, table(0), false, request)))
                    .get(0)
                    .token();
        }
        return token;
    }

    /** Begins the batch, behind {@link #prefill}. */
    public void fork() {
        for (int row = 1; row < batch; row++) {
            runner.fork(0, row, plan.context(), plan.maxTokens());
        }
        backend.synchronize();
        if (layout.offloads(plan.maxTokens())) {
            int finished = plan.context() / model.sparse().blockSize();
            IntStream.range(blocksPerRow, blocksPerRow * batch)
                    .parallel()
                    .filter(block -> block % blocksPerRow < finished)
                    .forEach(block -> backend.copyHostBlock(block % blocksPerRow, block));
        }
    }

    /**
     * Decodes the batch, going on where it stands. Profilers that wait for cuProfilerStart see one step more.
     *
     * @param turnover blocks that each head replaces in each step; -1: what the random weights select
     * @param halves whether the batch is computed in halves; null: where it is faster
     */
    public Decode decode(int turnover, Boolean halves) {
        backend.replaceSelection(turnover);
        backend.computeInHalves(halves);
        for (int i = 0; i < WARM_UP_STEPS; i++) {
            step();
        }
        double[] millis = new double[plan.repeats()];
        KvTraffic traffic = KvTraffic.NONE;
        double hostMillis = 0;
        for (int i = 0; i < millis.length; i++) {
            long start = System.nanoTime();
            for (int n = 0; n < plan.newTokens(); n++) {
                traffic = traffic.plus(step());
                hostMillis -= backend.stepMillis();
            }
            millis[i] = RunnerBench.seconds(start) * 1e3 / plan.newTokens();
            hostMillis += RunnerBench.seconds(start) * 1e3;
        }
        backend.profile(this::step);
        double steps = (double) plan.newTokens() * plan.repeats();
        double heads = (double) model.layers() * model.kvHeads() * batch;
        double bytes = (double) traffic.bytesFetched() + traffic.bytesWritten();
        return new Decode(
                batch,
                RunnerBench.median(millis),
                hostMillis / steps,
                traffic.missed() / heads / steps,
                bytes / steps,
                backend.wasInHalves());
    }

    /** Bytes per second from the host tier, nothing beside it; the last call. 0 where there is none. */
    public double gather() {
        int blocks = plan.context() / model.sparse().blockSize();
        return layout.offloads(plan.maxTokens()) ? backend.gatherRate(batch, blocks) : 0;
    }

    private KvTraffic step() {
        List<SequenceInput> inputs = new ArrayList<>(batch);
        for (int row = 0; row < batch; row++) {
            inputs.add(
                    new SequenceInput(row, position, new int[] {tokens[row]}, table(row), true, RunnerBench.greedy()));
        }
        position++;
        KvTraffic traffic = KvTraffic.NONE;
        List<SequenceOutput> outputs = runner.run(inputs);
        for (int row = 0; row < batch; row++) {
            tokens[row] = outputs.get(row).token();
            traffic = traffic.plus(outputs.get(row).traffic());
        }
        return traffic;
    }

    private BlockTable table(int row) {
        return tables.computeIfAbsent(
                row,
                any -> BlockTable.of(IntStream.range(row * blocksPerRow, (row + 1) * blocksPerRow)
                        .toArray()));
    }

    /**
     * The least time of a decode step at this batch, in milliseconds: the largest of device memory, link and arithmetic.
     *
     * @param fetched blocks that a KV head fetches in a step
     */
    public double floorMillis(DeviceRates rates, double fetched) {
        double weights = weightBytes();
        int blocks = WindowMath.blocks(position, model.sparse());
        int attended = mode.isSparse() ? Math.min(model.sparse().maxBudget(), blocks) : blocks;
        double pages = (double) attended * layout.hostBlockBytes();
        double heads = (double) model.layers() * model.kvHeads();
        double keys = mode.usesQueryScores()
                ? heads * WindowMath.windows(position, model.sparse()) * model.headDim() * Short.BYTES
                : 0;
        double memory = (weights + batch * (pages + keys)) / rates.memory();
        double link = batch * heads * fetched * layout.headBlockBytes() / rates.link();
        double products = batch * weights / rates.products();
        return 1e3 * Math.max(memory, Math.max(link, products));
    }

    /** The least time of the prefill, in seconds: the products with weights, of attention and with compressed keys. */
    public double prefillFloorSeconds(DeviceRates rates) {
        double row = 2.0 * model.layers() * model.heads() * model.headDim(); // of a query with one key, in all layers
        double products = weightBytes() * plan.context();
        for (int t = 0; t < plan.context(); t++) {
            long budget = (long) model.sparse().maxBudget() * model.sparse().blockSize();
            long attended = mode.isSparse() ? Math.min(budget, t + 1) : t + 1;
            boolean scored = mode.usesQueryScores() && t + 1 > budget;
            products += row * (2 * attended + (scored ? WindowMath.windows(t + 1, model.sparse()) : 0));
        }
        return products / rates.products();
    }

    /** Of all weights that every token goes through: also the operations for a token. */
    private double weightBytes() {
        double embedding = model.tiedEmbeddings() ? 0 : (double) model.vocabSize() * model.hidden();
        return 2 * (model.parameters() - embedding);
    }

    @Override
    public void close() {
        runner.close();
    }
}
