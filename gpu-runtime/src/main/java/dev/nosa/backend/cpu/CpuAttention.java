package dev.nosa.backend.cpu;

import dev.nosa.backend.AttentionShape;
import dev.nosa.backend.BatchInputs;
import dev.nosa.backend.BatchInputs.Slice;
import dev.nosa.backend.ImportanceWeights;
import dev.nosa.backend.KvTraffic;
import dev.nosa.backend.cpu.BlockAttention.Blocks;
import dev.nosa.sparse.BlockSelection;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.tensor.BFloat16;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Attention of one layer over the two KV tiers (NOSA specification, sections 2 and 4). A decode step is one task a
 * sequence and KV head: append, select, fetch what is missing into slots, attend. A prefill chunk appends first, then
 * gathers the union of its queries' blocks from the host tier into a workspace, and attends there.
 */
final class CpuAttention implements AutoCloseable {
    private static final int TILES_PER_THREAD = 2;
    private static final int MIN_TILE = 16;
    private static final int MAX_TILE = 64;

    private final AttentionShape shape;
    private final SparseConfig sparse;
    private final CpuKvStore store;
    private final CpuThreads threads;
    private final CpuWorker[] workers;
    private final Rotary rotary;
    private final BlockScores[] scores;
    private final BlockAttention[] attention;
    private final PrefillGather gather;
    private final float queryScale;
    private float[] cis = new float[0];
    private Traffic[] traffic = new Traffic[0];
    private final long[] missedByLayer;
    /** Of the batch, in the layers before. */
    private long missedBefore;

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
        missedByLayer = new long[store.layout().layers()];
        rotary = new Rotary(shape);
        scores = new BlockScores[workers.length];
        attention = new BlockAttention[workers.length];
        for (int i = 0; i < workers.length; i++) {
            BlockSelection selection = new BlockSelection(sparse, store.layout().mode());
            scores[i] = new BlockScores(shape.groupSize(), shape.headDim(), sparse, selection, workers[i]);
            attention[i] = new BlockAttention(shape.groupSize(), shape.headDim(), sparse.blockSize(), workers[i]);
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
                decode(layer, task % heads, slice, qkv, out, worker, traffic[task]);
            } else {
                append(layer, task % heads, slice, qkv, workers[worker], traffic[task]);
            }
        });
        countMisses(layer);
        for (int s = 0; s < slices.size(); s++) {
            if (!slices.get(s).decode()) {
                prefill(layer, slices.get(s), qkv, out, Arrays.copyOfRange(traffic, s * heads, (s + 1) * heads));
            }
        }
    }

    private void countMisses(int layer) {
        long total = 0;
        for (Traffic part : traffic) {
            total += part.missed;
        }
        missedByLayer[layer] += total - missedBefore;
        missedBefore = total;
    }

    /** Blocks that decodes have fetched in each layer. */
    long[] missedByLayer() {
        return missedByLayer.clone();
    }

    private void prepareTraffic(int count) {
        if (traffic.length != count) {
            traffic = new Traffic[count];
            missedBefore = 0;
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
    private void decode(int layer, int head, Slice slice, CpuTensor qkv, CpuTensor out, int worker, Traffic counters) {
        append(layer, head, slice, qkv, workers[worker], counters);
        HeadCache cache = store.head(slice.row(), layer, head);
        QueryTile tile = QueryTile.decode(group(qkv, slice.firstRow(), head), slice.start());
        SelectedBlocks selected = SelectedBlocks.allocate(1, maxSelected(slice.start()));
        scores[worker].select(cache, tile, selected, 0);
        fetch(layer, head, slice, cache, selected, workers[worker], counters);
        Blocks blocks = new Blocks(cache.kv(), cache::keyOffset, cache.importance());
        attention[worker].attend(tile, selected, 0, blocks, group(out, slice.firstRow(), head));
    }

    /** Copies the selected blocks that are not resident from the host tier. */
    private void fetch(
            int layer,
            int head,
            Slice slice,
            HeadCache cache,
            SelectedBlocks selected,
            CpuWorker worker,
            Traffic counters) {
        int count = selected.counts()[0];
        int[] missing = new int[count];
        int misses = cache.slots().fetch(selected.blocks(), count, missing);
        for (int i = 0; i < misses; i++) {
            int block = missing[i];
            store.host().read(slice.blocks().get(block), layer, head, cache.kv(), cache.keyOffset(block), worker);
        }
        counters.selected += count;
        counters.missed += misses;
        counters.fetched += misses * store.host().headBytes();
    }

    /** One prompt's chunk: select, gather the union of what was selected, attend; each for all KV heads at once. */
    private void prefill(int layer, Slice slice, CpuTensor qkv, CpuTensor out, Traffic[] counters) {
        int stride = maxSelected(slice.start() + slice.count() - 1);
        SelectedBlocks[] selected = new SelectedBlocks[shape.kvHeads()];
        Arrays.setAll(selected, head -> SelectedBlocks.allocate(slice.count(), stride));
        forTiles(slice, qkv, (worker, head, from, tile) -> {
            HeadCache cache = store.head(slice.row(), layer, head);
            scores[worker].select(cache, tile, selected[head], from);
        });
        Blocks[] blocks = gather.run(layer, slice, selected, counters);
        forTiles(slice, qkv, (worker, head, from, tile) -> {
            GroupRows target = group(out, slice.firstRow() + from, head);
            attention[worker].attend(tile, selected[head], from, blocks[head], target);
        });
    }

    private interface TileTask {
        void run(int worker, int head, int from, QueryTile tile);
    }

    /** Cuts a chunk into tiles: large ones share blocks, small ones keep all threads busy. */
    private void forTiles(Slice slice, CpuTensor qkv, TileTask task) {
        int heads = shape.kvHeads();
        int share = slice.count() * heads / (TILES_PER_THREAD * threads.size());
        int size = Math.max(MIN_TILE, Math.min(share, MAX_TILE));
        int tiles = (slice.count() + size - 1) / size;
        threads.run(tiles * heads, (worker, i) -> {
            int head = i % heads;
            int from = i / heads * size;
            GroupRows queries = group(qkv, slice.firstRow() + from, head);
            int count = Math.min(size, slice.count() - from);
            task.run(worker, head, from, QueryTile.prefill(queries, slice.start() + from, count, shape.groupSize()));
        });
    }

    private int maxSelected(int position) {
        int causal = position / sparse.blockSize() + 1;
        return store.layout().mode().isSparse() ? Math.min(causal, sparse.maxBudget()) : causal;
    }

    /** The columns of one KV head's query heads from {@code row} on. */
    private GroupRows group(CpuTensor tensor, int row, int head) {
        int first = row * tensor.cols() + head * shape.groupSize() * shape.headDim();
        return new GroupRows(tensor.data(), first, tensor.cols());
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
        missedBefore = 0;
        return all;
    }

    @Override
    public void close() {
        gather.close();
    }
}
