package dev.nosa.backend.cpu;

import dev.nosa.backend.AttentionShape;
import dev.nosa.backend.Backend;
import dev.nosa.backend.BatchInputs;
import dev.nosa.backend.DeviceInfo;
import dev.nosa.backend.ImportanceWeights;
import dev.nosa.backend.KvStore;
import dev.nosa.backend.KvTraffic;
import dev.nosa.backend.TokenChoice;
import dev.nosa.backend.Weight;
import dev.nosa.cache.KvLayout;
import dev.nosa.checkpoint.CheckpointTensor;
import dev.nosa.sample.Sampler;
import dev.nosa.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * F32 on the CPU: matrix products through OpenBLAS, everything else in Java loops over rows. Both KV tiers are memory of
 * the machine, and blocks are really copied between them.
 */
public final class CpuBackend implements Backend {
    /** A continuation of 1,000 tokens would else need 1,000 vocabularies. */
    private static final int MAX_LOGIT_ROWS = 64;

    private final boolean bf16Weights;
    private final CpuThreads threads;
    private final CpuWorker[] workers;
    private final CpuLinear linear;
    private final CpuKvStore store;
    private final CpuAttention attention;
    private final List<CpuWeight> weights = new ArrayList<>();
    private BatchInputs tiledBatch;
    private RowTiles tiles;

    /**
     * @param hostBlocks blocks of the host tier
     * @param maxRows sequences that are open at once
     * @param threadCount workers, the calling thread included
     * @param bf16Weights keep matrices in BF16 and widen them at each use: half the memory, slower
     */
    public CpuBackend(
            AttentionShape shape, KvLayout layout, int hostBlocks, int maxRows, int threadCount, boolean bf16Weights) {
        this.bf16Weights = bf16Weights;
        threads = new CpuThreads(threadCount);
        workers = new CpuWorker[threadCount];
        for (int i = 0; i < threadCount; i++) {
            workers[i] = new CpuWorker();
        }
        linear = new CpuLinear(threads, workers);
        store = new CpuKvStore(layout, hostBlocks, maxRows);
        attention = new CpuAttention(shape, store, threads, workers);
    }

    /** Products with weights since the start. */
    public ProductStats productStats() {
        return linear.stats();
    }

    @Override
    public DeviceInfo device() {
        return new DeviceInfo("cpu", workers.length + " CPU threads", 0);
    }

    @Override
    public Weight upload(List<CheckpointTensor> stacked) {
        return keep(CpuWeight.matrix(stacked, bf16Weights));
    }

    @Override
    public Weight uploadVector(List<CheckpointTensor> parts) {
        return keep(CpuWeight.vector(parts));
    }

    private Weight keep(CpuWeight weight) {
        weights.add(weight);
        return weight;
    }

    @Override
    public Tensor residual(int rows, int cols) {
        return CpuTensor.allocate(rows, cols);
    }

    @Override
    public Tensor activation(int rows, int cols) {
        return CpuTensor.allocate(rows, cols);
    }

    @Override
    public Tensor join(List<Tensor> parts) {
        if (parts.size() == 1) {
            return parts.get(0);
        }
        int cols = parts.get(0).cols();
        CpuTensor all = CpuTensor.allocate(parts.stream().mapToInt(Tensor::rows).sum(), cols);
        int at = 0;
        for (Tensor part : parts) {
            System.arraycopy(CpuTensor.data(part), 0, all.data(), at, part.rows() * cols);
            at += part.rows() * cols;
        }
        return all;
    }

    @Override
    public void embed(Weight table, BatchInputs batch, Tensor out) {
        CpuWeight embedding = (CpuWeight) table;
        int cols = out.cols();
        threads.runRows(
                batch.tokens().length, (worker, i) -> embedding.row(batch.tokens()[i], CpuTensor.data(out), i * cols));
    }

    @Override
    public void rmsNorm(Tensor x, Weight gain, float eps, Tensor out) {
        float[] gains = ((CpuWeight) gain).dense();
        float[] source = CpuTensor.data(x);
        float[] target = CpuTensor.data(out);
        int cols = x.cols();
        threads.runRows(x.rows(), (worker, row) -> {
            int at = row * cols;
            float sum = 0;
            for (int i = 0; i < cols; i++) {
                sum += source[at + i] * source[at + i];
            }
            float scale = (float) (1 / Math.sqrt(sum / cols + eps));
            for (int i = 0; i < cols; i++) {
                target[at + i] = source[at + i] * scale * gains[i];
            }
        });
    }

    @Override
    public void linear(Tensor x, Weight w, Weight bias, BatchInputs batch, Tensor out) {
        linear.multiply((CpuTensor) x, (CpuWeight) w, (CpuWeight) bias, tiles(batch), false, (CpuTensor) out);
    }

    @Override
    public void addLinear(Tensor x, Weight w, Weight bias, BatchInputs batch, Tensor out) {
        linear.multiply((CpuTensor) x, (CpuWeight) w, (CpuWeight) bias, tiles(batch), true, (CpuTensor) out);
    }

    private RowTiles tiles(BatchInputs batch) {
        if (batch != tiledBatch) {
            tiles = RowTiles.of(batch);
            tiledBatch = batch;
        }
        return tiles;
    }

    @Override
    public void siluMul(Tensor gateUp, Tensor out) {
        float[] source = CpuTensor.data(gateUp);
        float[] target = CpuTensor.data(out);
        int cols = out.cols();
        threads.runRows(out.rows(), (worker, row) -> {
            int gate = row * 2 * cols;
            for (int i = 0; i < cols; i++) {
                float g = source[gate + i];
                float magnitude = Math.abs(g);
                float e = FastExp.exp(-magnitude);
                // g sigmoid(g) without a branch, which would keep the loop from being vectorized
                float silu = 0.5f * (g + magnitude * ((1f - e) / (1f + e)));
                target[row * cols + i] = silu * source[gate + cols + i];
            }
        });
    }

    @Override
    public void attention(int layer, Tensor qkv, ImportanceWeights importance, BatchInputs batch, Tensor out) {
        attention.run(layer, (CpuTensor) qkv, importance, batch, (CpuTensor) out);
    }

    @Override
    public Tensor logits(Tensor hidden, Weight head, int[] rows) {
        CpuTensor picked = CpuTensor.allocate(rows.length, hidden.cols());
        for (int i = 0; i < rows.length; i++) {
            System.arraycopy(
                    CpuTensor.data(hidden), rows[i] * hidden.cols(), picked.data(), i * hidden.cols(), hidden.cols());
        }
        CpuTensor out = CpuTensor.allocate(rows.length, head.rows());
        linear.multiply(picked, (CpuWeight) head, null, RowTiles.decode(rows.length), false, out);
        return out;
    }

    @Override
    public int maxLogitRows() {
        return MAX_LOGIT_ROWS;
    }

    @Override
    public int[] sample(Tensor logits, List<TokenChoice> choices) {
        float[] row = new float[logits.cols()];
        int[] tokens = new int[choices.size()];
        for (int i = 0; i < tokens.length; i++) {
            TokenChoice choice = choices.get(i);
            read(logits, choice.row(), row);
            int bad = Sampler.firstNotFinite(row);
            tokens[i] = bad >= 0
                    ? -1 - bad
                    : Sampler.sample(row, choice.params(), choice.history(), choice.historyLength(), choice.position());
        }
        return tokens;
    }

    @Override
    public float[] logProbs(Tensor logits, int[] rows, int[] tokens) {
        float[] row = new float[logits.cols()];
        float[] result = new float[rows.length];
        double denominator = Double.NaN;
        for (int i = 0; i < rows.length; i++) {
            if (i == 0 || rows[i] != rows[i - 1]) {
                read(logits, rows[i], row);
                denominator = Sampler.firstNotFinite(row) >= 0 ? Double.NaN : Sampler.logSumExp(row);
            }
            result[i] = (float) (row[tokens[i]] - denominator);
        }
        return result;
    }

    @Override
    public void read(Tensor logits, int row, float[] target) {
        System.arraycopy(CpuTensor.data(logits), row * logits.cols(), target, 0, logits.cols());
    }

    @Override
    public KvStore kv() {
        return store;
    }

    @Override
    public List<KvTraffic> takeTraffic(BatchInputs batch) {
        return attention.takeTraffic(batch);
    }

    @Override
    public long[] missedByLayer() {
        return attention.missedByLayer();
    }

    @Override
    public void close() {
        threads.close();
        attention.close();
        store.close();
        linear.close();
        for (CpuWorker worker : workers) {
            worker.close();
        }
        weights.forEach(CpuWeight::close);
    }
}
