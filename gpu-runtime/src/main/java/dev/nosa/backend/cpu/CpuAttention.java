package dev.nosa.backend.cpu;

import dev.nosa.backend.AttentionShape;
import dev.nosa.backend.BatchInputs;
import dev.nosa.backend.BatchInputs.Slice;
import dev.nosa.backend.ImportanceWeights;
import dev.nosa.backend.KvTraffic;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.tensor.BFloat16;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.javacpp.FloatPointer;

/**
 * Attention of one layer over the two KV tiers (NOSA specification, sections 2 and 4). A decode step is one task a
 * sequence and KV head: append, select, fetch what is missing into slots, attend. A prefill chunk appends first, then
 * gathers the union of its queries' blocks from the host tier into a workspace, and attends there.
 */
final class CpuAttention implements AutoCloseable {
    private final AttentionShape shape;
    private final SparseConfig sparse;
    private final CpuKvStore store;
    private final CpuThreads threads;
    private final CpuWorker[] workers;
    private final Rotary rotary;
    private final BlockScores[] scores;
    private final PrefillGather gather;
    private final float queryScale;
    private float[] cis = new float[0];
    private Traffic[] traffic = new Traffic[0];

    /** Counters of one slice and KV head, written by one worker at a time. */
    static final class Traffic {
        private long selected;
        private long missed;
        private long fetched;
        private long written;

        void fetched(long bytes) {
            fetched += bytes;
        }

        KvTraffic snapshot() {
            return new KvTraffic(selected, missed, fetched, written);
        }
    }

    CpuAttention(AttentionShape shape, CpuKvStore store, CpuThreads threads, CpuWorker[] workers) {
        this.shape = shape;
        this.store = store;
        this.threads = threads;
        this.workers = workers;
        sparse = store.layout().sparse();
        rotary = new Rotary(shape);
        scores = new BlockScores[workers.length];
        for (int i = 0; i < scores.length; i++) {
            scores[i] = new BlockScores(shape.groupSize(), shape.headDim(), sparse);
        }
        gather = new PrefillGather(store, threads, workers);
        queryScale = (float) (1 / Math.sqrt(shape.headDim()));
    }

    void run(int layer, CpuTensor qkv, ImportanceWeights importance, BatchInputs batch, CpuTensor out) {
        List<Slice> slices = batch.slices();
        int heads = shape.kvHeads();
        prepareTraffic(slices.size() * heads);
        rotary.prepare(batch);
        cis = new float[batch.tokens().length * heads];
        threads.runRows(batch.tokens().length, (worker, row) -> prepareRow(qkv, importance, row));
        threads.run(slices.size() * heads, (worker, task) -> {
            Slice slice = slices.get(task / heads);
            if (slice.decode()) {
                decode(layer, task % heads, slice, qkv, out, workers[worker], scores[worker], traffic[task]);
            } else {
                append(layer, task % heads, slice, qkv, workers[worker], traffic[task]);
            }
        });
        for (int task = 0; task < slices.size() * heads; task++) {
            if (!slices.get(task / heads).decode()) {
                prefill(layer, task % heads, slices.get(task / heads), qkv, out, traffic[task]);
            }
        }
    }

    private void prepareTraffic(int count) {
        if (traffic.length != count) {
            traffic = new Traffic[count];
            for (int i = 0; i < count; i++) {
                traffic[i] = new Traffic();
            }
        }
    }

    /** Importance from v, rotary embedding of q and k, 1 / sqrt(D) into q, KV rounded to what the cache holds. */
    private void prepareRow(CpuTensor qkv, ImportanceWeights importance, int row) {
        float[] data = qkv.data();
        int d = shape.headDim();
        int at = row * qkv.cols();
        int keysAt = at + shape.heads() * d;
        int valuesAt = keysAt + shape.kvHeads() * d;
        if (importance != null) {
            importance(importance, data, valuesAt, row);
        }
        for (int h = 0; h < shape.heads() + shape.kvHeads(); h++) {
            rotary.rotate(row, data, at + h * d);
        }
        for (int i = at; i < keysAt; i++) {
            data[i] *= queryScale;
        }
        if (store.layout().hostElementBytes() == Short.BYTES) {
            for (int i = keysAt; i < at + qkv.cols(); i++) {
                data[i] = BFloat16.round(data[i]);
            }
        }
    }

    private void importance(ImportanceWeights weights, float[] data, int valuesAt, int row) {
        int heads = shape.kvHeads();
        int width = heads * shape.headDim();
        float[] delta = ((CpuWeight) weights.delta()).dense();
        float[] a = ((CpuWeight) weights.a()).dense();
        float[] bias = weights.bias() == null ? null : ((CpuWeight) weights.bias()).dense();
        for (int h = 0; h < heads; h++) {
            float dot = bias == null ? 0f : bias[h];
            for (int i = 0; i < width; i++) {
                dot += delta[h * width + i] * data[valuesAt + i];
            }
            double softplus = dot > 20 ? dot : Math.log1p(Math.exp(dot));
            cis[row * heads + h] = (float) (a[h] * softplus);
        }
    }

    /** Appends the slice's tokens to one head's cache and writes the blocks that they finish to the host tier. */
    private void append(int layer, int head, Slice slice, CpuTensor qkv, CpuWorker worker, Traffic counters) {
        HeadCache cache = store.head(slice.row(), layer, head);
        int d = shape.headDim();
        int bs = sparse.blockSize();
        for (int i = 0; i < slice.count(); i++) {
            int row = slice.firstRow() + i;
            int position = slice.start() + i;
            int key = row * qkv.cols() + (shape.heads() + head) * d;
            cache.append(position, qkv.data(), key, key + shape.kvHeads() * d, cis[row * shape.kvHeads() + head]);
            if (position % bs == bs - 1) {
                int block = position / bs;
                int source = cache.keyOffset(block);
                store.host().write(slice.blocks().get(block), layer, head, cache.kv(), source, worker);
                counters.written += store.host().headBytes();
            }
        }
    }

    @SuppressWarnings("checkstyle:ParameterNumber") // what one task of the batch consists of
    private void decode(
            int layer,
            int head,
            Slice slice,
            CpuTensor qkv,
            CpuTensor out,
            CpuWorker worker,
            BlockScores blockScores,
            Traffic counters) {
        append(layer, head, slice, qkv, worker, counters);
        HeadCache cache = store.head(slice.row(), layer, head);
        int position = slice.start();
        int queryAt = queryAt(qkv, slice.firstRow(), head);
        int[] selected = new int[maxSelected(position)];
        int count = blockScores.select(cache, position, qkv.data(), queryAt, worker, selected);
        int[] missing = new int[count];
        int misses = cache.slots().fetch(selected, count, missing);
        for (int i = 0; i < misses; i++) {
            int block = missing[i];
            store.host().read(slice.blocks().get(block), layer, head, cache.kv(), cache.keyOffset(block), worker);
        }
        counters.selected += count;
        counters.missed += misses;
        counters.fetched += misses * store.host().headBytes();
        int[] keys = new int[count];
        for (int i = 0; i < count; i++) {
            keys[i] = cache.keyOffset(selected[i]);
        }
        Attended attended = new Attended(cache.kv(), selected, keys, 0, count, position);
        attend(attended, cache, qkv.data(), queryAt, outAt(out, slice.firstRow(), head), out.data(), worker);
    }

    private void prefill(int layer, int head, Slice slice, CpuTensor qkv, CpuTensor out, Traffic counters) {
        HeadCache cache = store.head(slice.row(), layer, head);
        int stride = maxSelected(slice.start() + slice.count() - 1);
        int[] selected = new int[slice.count() * stride];
        int[] counts = new int[slice.count()];
        threads.run(slice.count(), (worker, i) -> {
            int[] own = new int[stride];
            int queryAt = queryAt(qkv, slice.firstRow() + i, head);
            counts[i] = scores[worker].select(cache, slice.start() + i, qkv.data(), queryAt, workers[worker], own);
            System.arraycopy(own, 0, selected, i * stride, counts[i]);
        });
        int[] keys = gather.run(layer, head, slice, cache, selected, counts, stride, counters);
        threads.run(slice.count(), (worker, i) -> {
            int row = slice.firstRow() + i;
            Attended attended =
                    new Attended(gather.workspace(), selected, keys, i * stride, counts[i], slice.start() + i);
            attend(
                    attended,
                    cache,
                    qkv.data(),
                    queryAt(qkv, row, head),
                    outAt(out, row, head),
                    out.data(),
                    workers[worker]);
        });
    }

    /**
     * What one query attends.
     *
     * @param kv where the blocks lie, K transposed and then V
     * @param blocks ascending block numbers, of which [from, from + count) count; the last one is the query's own
     * @param keys index of each block's K in {@code kv}
     */
    private record Attended(NativeFloats kv, int[] blocks, int[] keys, int from, int count, int position) {}

    /** {@code softmax(q . k + cis) v} for the group's queries, block by block in ascending order. */
    private void attend(
            Attended over, HeadCache cache, float[] queries, int queryAt, int outAt, float[] out, CpuWorker worker) {
        int g = shape.groupSize();
        int d = shape.headDim();
        int bs = sparse.blockSize();
        int width = over.count * bs;
        int tokens = width - bs + over.position % bs + 1;
        NativeFloats staged = worker.queries(g * d);
        staged.put(0, queries, queryAt, g * d);
        NativeFloats products = worker.products(g * width);
        FloatPointer q = staged.view();
        FloatPointer kv = over.kv.view();
        FloatPointer p = products.view();
        for (int j = 0; j < over.count; j++) {
            CpuLinear.gemm(
                    g, bs, d, q, d, kv.position(over.keys[over.from + j]), bs, 0f, p.position((long) j * bs), width);
        }
        float[] weights = worker.scores(g * width);
        products.get(0, weights, 0, g * width);
        float[] sums = softmax(over, cache, weights, width, tokens);
        products.put(0, weights, 0, g * width);
        NativeFloats outputs = worker.outputs(g * d);
        FloatPointer o = outputs.view();
        for (int j = 0; j < over.count; j++) {
            kv.position(over.keys[over.from + j] + bs * d);
            CpuLinear.gemm(g, d, bs, p.position((long) j * bs), width, kv, d, j == 0 ? 0f : 1f, o, d);
        }
        outputs.get(0, out, outAt, g * d);
        for (int i = 0; i < g * d; i++) {
            out[outAt + i] /= sums[i / d];
        }
    }

    /** Turns the group's logits into numerators, 0 for tokens after the query, and returns the denominators. */
    private float[] softmax(Attended over, HeadCache cache, float[] weights, int width, int tokens) {
        int bs = sparse.blockSize();
        float[] importance = cache.importance();
        float[] sums = new float[shape.groupSize()];
        for (int h = 0; h < sums.length; h++) {
            int from = h * width;
            for (int j = 0; importance.length > 0 && j < over.count; j++) {
                int first = over.blocks[over.from + j] * bs;
                int count = Math.min(bs, tokens - j * bs);
                for (int t = 0; t < count; t++) {
                    weights[from + j * bs + t] += importance[first + t];
                }
            }
            sums[h] = FastExp.softmaxNumerators(weights, from, tokens);
            Arrays.fill(weights, from + tokens, from + width, 0f);
        }
        return sums;
    }

    private int maxSelected(int position) {
        int causal = position / sparse.blockSize() + 1;
        return store.layout().mode().isSparse() ? Math.min(causal, sparse.maxBudget()) : causal;
    }

    private int queryAt(CpuTensor qkv, int row, int head) {
        return row * qkv.cols() + head * shape.groupSize() * shape.headDim();
    }

    private int outAt(CpuTensor out, int row, int head) {
        return row * out.cols() + head * shape.groupSize() * shape.headDim();
    }

    /** The counters of each slice since the last call, over heads and layers. */
    List<KvTraffic> takeTraffic(BatchInputs batch) {
        int heads = shape.kvHeads();
        List<KvTraffic> all = new ArrayList<>();
        for (int s = 0; s < batch.slices().size(); s++) {
            KvTraffic sum = KvTraffic.NONE;
            for (int h = 0; h < heads; h++) {
                sum = sum.plus(traffic[s * heads + h].snapshot());
            }
            all.add(sum);
        }
        traffic = new Traffic[0];
        return all;
    }

    @Override
    public void close() {
        gather.close();
    }
}
