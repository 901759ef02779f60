package dev.nosa.backend.cuda;

import dev.nosa.backend.Backend;
import dev.nosa.backend.Backends.Options;
import dev.nosa.backend.BatchInputs;
import dev.nosa.backend.BatchInputs.Slice;
import dev.nosa.backend.DeviceInfo;
import dev.nosa.backend.DeviceRates;
import dev.nosa.backend.ImportanceWeights;
import dev.nosa.backend.KvStore;
import dev.nosa.backend.KvTraffic;
import dev.nosa.backend.TokenChoice;
import dev.nosa.backend.Weight;
import dev.nosa.cache.BlockTable;
import dev.nosa.checkpoint.CheckpointTensor;
import dev.nosa.sample.Sampler;
import dev.nosa.tensor.Tensor;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import jcuda.driver.JCudaDriver;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * BF16 on an NVIDIA GPU: products through cublasLt, everything else in kernels of its own, K and V in pinned host memory with
 * slots on the GPU. The residual stream, scores, softmax and logits are F32.
 *
 * <p>A batch of decodes is widened to a bucket, recorded once as a CUDA graph and replayed; what changes from step to step
 * lies in device memory. A batch with prompts is launched kernel by kernel. Engine thread.
 */
public final class CudaBackend implements Backend {
    private static final Logger log = LoggerFactory.getLogger(CudaBackend.class);

    /** How much faster device memory is than the link, roughly: 35 to 80 among the GPUs that there are kernels for. */
    private static final double MEMORY_OVER_LINK = 45;

    private static final long RUNNING = -1;

    private final CudaContext context;
    private final CudaStream stream;
    private final CublasLt blas;
    private final CudaKvStore store;
    private final CudaAttention attention;
    private final Elementwise elementwise;
    private final TokenKernels sampling;
    private final StepTables tables;
    private final CudaEvent stepBegin;
    private final CudaEvent stepEnd;
    private final Workspace workspace;
    private final Deque<AutoCloseable> parts;
    private final Map<StepKind, Recorded> recorded = new HashMap<>();
    private final int maxBatch;
    private final long weightBytes;
    /** Whether batches of decodes are computed in halves; null: where it is faster. */
    private Boolean halves;
    /** {@link #paysToHalve} for the last batch. */
    private boolean waitsForLink;
    /** Of the batch that is computed now. */
    private boolean inHalves;
    /** What the model of a batch with prompts took of the workspace, or {@link #RUNNING}. */
    private long modelEnd = RUNNING;

    private record StepKind(int rows, boolean halves) {}

    /** The decode step of one kind: after its first run, a graph. */
    private static final class Recorded {
        private CudaGraph graph;
        private CudaTensor result;
    }

    /** @param parts receives what is to be closed, the last first, also if this fails */
    private CudaBackend(Options options, Deque<AutoCloseable> parts) {
        this.parts = parts;
        context = own(CudaContext.open(options.device()));
        log.info("{}", context.device());
        // Pinning takes a second for each GiB, so it goes on while the weights are read.
        boolean offload = options.layout().offloads(options.maxContext());
        PinnedArena host =
                own(PinnedArena.start(context, options.layout().hostBlockBytes(), offload ? options.hostBlocks() : 0));
        stream = own(new CudaStream(context));
        KernelLibrary library = own(KernelLibrary.load(context));
        blas = own(CublasLt.open(context, CublasLt.WORKSPACE_BYTES));
        maxBatch = options.maxBatch();
        weightBytes = options.size().weights() * Short.BYTES;
        workspace = own(new Workspace(context, DeviceNeeds.workspaceBytes(options)));
        tables = own(new StepTables(context, stream, options.maxStepTokens() + DeviceNeeds.padded(maxBatch)));
        store = own(new CudaKvStore(
                context,
                stream,
                library,
                options.shape(),
                options.layout(),
                host,
                options.maxRows(),
                options.maxContext(),
                options.devicePages()));
        attention = own(new CudaAttention(
                context,
                stream,
                library,
                options.shape(),
                store,
                workspace,
                tables,
                DeviceNeeds.padded(maxBatch),
                options.maxContext()));
        stepBegin = own(new CudaEvent(context, true));
        stepEnd = own(new CudaEvent(context, true));
        elementwise = new Elementwise(library, stream);
        sampling = own(new TokenKernels(context, stream, library, Math.max(maxBatch, DeviceNeeds.MIN_LOGIT_ROWS)));
    }

    private <T extends AutoCloseable> T own(T part) {
        parts.push(part);
        return part;
    }

    /**
     * Takes the GPU's memory; the calling thread may upload weights.
     *
     * @throws IllegalArgumentException if there are no kernels for the model's shape
     */
    public static CudaBackend open(Options options) {
        SupportedShapes.check(options);
        Deque<AutoCloseable> parts = new ArrayDeque<>();
        try {
            return new CudaBackend(options, parts);
        } catch (RuntimeException e) {
            parts.forEach(CudaKvStore::closeQuietly);
            throw e;
        }
    }

    /** What the GPU can do at best; takes 2 GiB of its memory for a moment. */
    public static DeviceRates rates(int device) {
        try (CudaContext context = CudaContext.open(device);
                CudaStream stream = new CudaStream(context);
                CublasLt blas = CublasLt.open(context, CublasLt.WORKSPACE_BYTES)) {
            return CudaRates.measure(context, stream, blas);
        }
    }

    /** For measurements: every head replaces so many blocks in each step by random ones; -1: what the model selects. */
    public void replaceSelection(int blocks) {
        attention.replaceSelection(blocks);
        recorded.clear(); // the graphs that have the last number close with the backend
    }

    /** For measurements: whether batches of decodes are computed in halves; null: where it is faster. */
    public void computeInHalves(Boolean wanted) {
        halves = wanted;
    }

    /** For measurements: whether the last batch was computed in halves. */
    public boolean wasInHalves() {
        return inHalves;
    }

    /** For measurements: fills a host block with another's K and V, on any thread. */
    public void copyHostBlock(int from, int to) {
        store.copyHostBlock(from, to);
    }

    /**
     * For measurements, when nothing else is wanted of the rows: bytes per second of blocks that kernels fetch from the host
     * tier, nothing beside them.
     *
     * @param rows decoding rows 0, 1, ...
     * @param blocks of each, in the host tier
     */
    public double gatherRate(int rows, int blocks) {
        return attention.gatherRate(context, rows, blocks);
    }

    /** For measurements: what a profiler that waits for cuProfilerStart is to see, such as ncu --profile-from-start off. */
    public void profile(Runnable work) {
        context.check().driver("cuProfilerStart", JCudaDriver::cuProfilerStart);
        work.run();
        context.synchronize();
        context.check().driver("cuProfilerStop", JCudaDriver::cuProfilerStop);
    }

    /** For measurements: milliseconds from the begin of the last batch's work on the GPU to its results. */
    public float stepMillis() {
        return stepEnd.millisSince(stepBegin);
    }

    /** Waits for all work, copies to the host tier included. */
    public void synchronize() {
        context.synchronize();
    }

    @Override
    public DeviceInfo device() {
        return new DeviceInfo("cuda", context.device().name(), context.device().totalBytes());
    }

    @Override
    public Weight upload(List<CheckpointTensor> stacked) {
        long rows = stacked.stream().mapToLong(tensor -> tensor.shape()[0]).sum();
        return keep(
                stacked, Math.toIntExact(rows), Math.toIntExact(stacked.get(0).shape()[1]));
    }

    @Override
    public Weight uploadVector(List<CheckpointTensor> vectors) {
        long size = vectors.stream().mapToLong(CheckpointTensor::elements).sum();
        return keep(vectors, 1, Math.toIntExact(size));
    }

    private Weight keep(List<CheckpointTensor> stacked, int rows, int cols) {
        return own(CudaWeight.upload(context, stacked, rows, cols));
    }

    @Override
    public Tensor residual(int rows, int cols) {
        return workspace.tensor(rows, cols, true);
    }

    @Override
    public Tensor activation(int rows, int cols) {
        return workspace.tensor(rows, cols, false);
    }

    @Override
    public Tensor run(BatchInputs batch, Function<BatchInputs, Tensor> model) {
        store.begin(batch);
        workspace.clear();
        modelEnd = RUNNING;
        if (batch.isDecode()) {
            return decode(batch, model);
        }
        Tensor result = queue(batch, model);
        store.writeOut(batch);
        modelEnd = workspace.mark();
        return result;
    }

    private Tensor queue(BatchInputs batch, Function<BatchInputs, Tensor> model) {
        tables.write(batch);
        stepBegin.record(stream);
        return compute(batch, model);
    }

    private Tensor compute(BatchInputs batch, Function<BatchInputs, Tensor> model) {
        tables.copyIn();
        attention.beginStep();
        Tensor result = model.apply(batch);
        attention.endStep();
        tables.copyOut();
        return result;
    }

    /** The first batch of a kind runs as it is, which readies kernels and products; the second is recorded. */
    private Tensor decode(BatchInputs batch, Function<BatchInputs, Tensor> model) {
        int bucket = bucket(batch.tokens().length);
        BatchInputs padded = widened(batch, bucket);
        boolean even = 4 * batch.tokens().length >= 3 * bucket; // else most of the second half is padding
        inHalves = bucket > 1 && even && store.offloads() && (halves == null ? waitsForLink : halves);
        StepKind kind = new StepKind(bucket, inHalves);
        Recorded step = recorded.get(kind);
        if (step == null) {
            recorded.put(kind, new Recorded());
            return queue(padded, model);
        }
        tables.write(padded);
        if (step.graph == null) {
            step.graph =
                    own(CudaGraph.capture(context, stream, () -> step.result = (CudaTensor) compute(padded, model)));
        }
        stepBegin.record(stream);
        step.graph.launch(stream);
        return step.result;
    }

    /**
     * While one half of the batch computes, the other's blocks arrive: behind the weights, which are read twice, instead of
     * behind the resident blocks of the same layer alone.
     */
    @Override
    public List<BatchInputs> parts(BatchInputs batch) {
        int rows = batch.tokens().length;
        int first = (rows + 1) / 2;
        return batch.isDecode() && inHalves
                ? List.of(batch.decodes(0, first), batch.decodes(first, rows))
                : List.of(batch);
    }

    @Override
    public Tensor join(List<Tensor> parts) {
        if (parts.size() == 1) {
            return parts.get(0);
        }
        if (parts.size() > DecodeAttention.PARTS) {
            throw new IllegalArgumentException(parts.size() + " parts");
        }
        return workspace.stacked(stream, (CudaTensor) parts.get(0), (CudaTensor) parts.get(1));
    }

    /** Sizes with little padding: 1, 2, 4, then multiples of 8. */
    private static int bucket(int rows) {
        return rows <= 2 ? rows : rows <= 4 ? 4 : DeviceNeeds.padded(rows);
    }

    private static BatchInputs widened(BatchInputs batch, int rows) {
        List<Slice> slices = new ArrayList<>(batch.slices());
        for (int i = slices.size(); i < rows; i++) {
            slices.add(new Slice(i, 1, 0, StepTables.NO_ROW, new BlockTable(), true));
        }
        return new BatchInputs(Arrays.copyOf(batch.tokens(), rows), slices);
    }

    @Override
    public void embed(Weight table, BatchInputs batch, Tensor out) {
        elementwise.embed((CudaWeight) table, tables.tokens(batch.firstRow()), (CudaTensor) out);
    }

    @Override
    public void rmsNorm(Tensor x, Weight gain, float eps, Tensor out) {
        elementwise.rmsNorm((CudaTensor) x, (CudaWeight) gain, eps, (CudaTensor) out);
    }

    @Override
    public void linear(Tensor x, Weight w, Weight bias, BatchInputs batch, Tensor out) {
        multiply((CudaTensor) x, (CudaWeight) w, (CudaWeight) bias, false, (CudaTensor) out);
    }

    @Override
    public void addLinear(Tensor x, Weight w, Weight bias, BatchInputs batch, Tensor out) {
        multiply((CudaTensor) x, (CudaWeight) w, (CudaWeight) bias, true, (CudaTensor) out);
    }

    @Override
    public void siluMul(Tensor gateUp, Tensor out) {
        elementwise.siluMul((CudaTensor) gateUp, (CudaTensor) out);
    }

    @Override
    public void attention(int layer, Tensor qkv, ImportanceWeights importance, BatchInputs batch, Tensor out) {
        attention.begin(layer, (CudaTensor) qkv, importance, batch, (CudaTensor) out);
    }

    @Override
    public void finishAttention(int layer, BatchInputs batch, Tensor out) {
        attention.finish(layer, batch, (CudaTensor) out);
    }

    @Override
    public Tensor logits(Tensor hidden, Weight head, int[] rows) {
        if (modelEnd != RUNNING) {
            workspace.back(modelEnd); // the logits before these have been read
        }
        CudaTensor picked = (CudaTensor) hidden;
        if (!isEveryRow(rows, hidden.rows())) {
            picked = workspace.tensor(rows.length, hidden.cols(), false);
            for (int i = 0; i < rows.length; i++) {
                workspace.copyRow(stream, (CudaTensor) hidden, rows[i], picked, i);
            }
        }
        CudaTensor out = workspace.tensor(rows.length, head.rows(), true);
        multiply(picked, (CudaWeight) head, null, false, out);
        return out;
    }

    private static boolean isEveryRow(int[] rows, int count) {
        boolean every = rows.length == count;
        for (int i = 0; every && i < count; i++) {
            every = rows[i] == i;
        }
        return every;
    }

    private void multiply(CudaTensor x, CudaWeight w, CudaWeight bias, boolean add, CudaTensor out) {
        Product.Type type = out.wide() ? Product.Type.F32 : Product.Type.BF16;
        Product product = new Product(x.rows(), w.rows(), w.cols(), type, add, bias != null);
        long added = bias == null ? 0 : out.wide() ? bias.wideAddress() : bias.address();
        blas.multiply(stream, product, x.address(), w.address(), added, out.address());
    }

    @Override
    public int maxLogitRows() {
        return Math.max(maxBatch, DeviceNeeds.MIN_LOGIT_ROWS);
    }

    @Override
    public int[] sample(Tensor logits, List<TokenChoice> choices) {
        int[] tokens = sampling.sample((CudaTensor) logits, choices, stepEnd);
        float[] row = null;
        for (int i = 0; i < tokens.length; i++) {
            TokenChoice choice = choices.get(i);
            if (!TokenKernels.picks(choice)) {
                row = row == null ? new float[logits.cols()] : row;
                read(logits, choice.row(), row);
                int bad = Sampler.firstNotFinite(row);
                tokens[i] = bad >= 0
                        ? -1 - bad
                        : Sampler.sample(
                                row, choice.params(), choice.history(), choice.historyLength(), choice.position());
            }
        }
        return tokens;
    }

    @Override
    public float[] logProbs(Tensor logits, int[] rows, int[] tokens) {
        return sampling.logProbs((CudaTensor) logits, rows, tokens);
    }

    @Override
    public void read(Tensor logits, int row, float[] target) {
        workspace.read(((CudaTensor) logits).row(row), target);
    }

    @Override
    public KvStore kv() {
        return store;
    }

    @Override
    public List<KvTraffic> takeTraffic(BatchInputs batch) {
        List<KvTraffic> traffic = attention.traffic(batch);
        if (batch.isDecode()) {
            KvTraffic all = traffic.stream().reduce(KvTraffic.NONE, KvTraffic::plus);
            long resident = all.hit() * store.layout().headBlockBytes();
            waitsForLink = paysToHalve(all.bytesFetched(), resident, weightBytes);
        }
        return traffic;
    }

    @Override
    public long[] missedByLayer() {
        return attention.missedByLayer();
    }

    /** Whether the transfer takes longer than reading the resident blocks, which hide it, and the weights once more. */
    static boolean paysToHalve(long fetchedBytes, long residentBytes, long weightBytes) {
        return fetchedBytes * MEMORY_OVER_LINK > weightBytes + residentBytes;
    }

    @Override
    public void bindThread() {
        context.makeCurrent();
    }

    @Override
    public void close() {
        context.makeCurrent();
        parts.forEach(CudaKvStore::closeQuietly);
    }
}
