package dev.nosa.backend.cpu;

import java.util.Arrays;
import java.util.function.IntUnaryOperator;
import org.bytedeco.javacpp.FloatPointer;

/**
 * {@code softmax(q . k + cis) v} over selected blocks (NOSA specification, section 2, step 8). Goes block by block in
 * ascending order, each block with all queries that selected it, and keeps a running maximum and denominator for every
 * query head. Scratch of one worker.
 */
final class BlockAttention {
    private static final int NOBODY = -1;

    private final int groupSize;
    private final int headDim;
    private final int blockSize;
    private final CpuWorker worker;
    private float[] max = new float[0];
    private float[] sum = new float[0];
    private float[] scale = new float[0];
    private int[] next = new int[0];
    /** By product and place: the query there, or {@link #NOBODY}. */
    private int[] members = new int[0];

    /** By place: products in which it is taken. */
    private int[] used = new int[0];

    /**
     * What is attended.
     *
     * @param kv where the blocks lie: K transposed (D, bs), and then V (bs, D)
     * @param keys index of a block's K in {@code kv}
     * @param importance cis of each token of the sequence; empty in modes without
     */
    record Blocks(NativeFloats kv, IntUnaryOperator keys, float[] importance) {}

    BlockAttention(int groupSize, int headDim, int blockSize, CpuWorker worker) {
        this.groupSize = groupSize;
        this.headDim = headDim;
        this.blockSize = blockSize;
        this.worker = worker;
    }

    /** Attends for a tile of queries, of which the first is number {@code from} of {@code selected}. */
    void attend(QueryTile tile, SelectedBlocks selected, int from, Blocks blocks, GroupRows out) {
        start(tile, out);
        FloatPointer kv = blocks.kv.view();
        for (int block = lowest(tile, selected, from); block >= 0; block = lowest(tile, selected, from)) {
            int keys = blocks.keys.applyAsInt(block);
            int products = takeMembers(tile, selected, from, block);
            for (int i = 0; i < products; i++) {
                logits(tile, i, kv.position(keys));
                numerators(tile, i, block, blocks.importance);
                accumulate(tile, i, kv.position(keys + (long) blockSize * headDim), out);
            }
        }
        for (int i = 0; i < tile.count() * groupSize; i++) {
            multiply(out.data(), out.at(i / groupSize) + i % groupSize * headDim, 1 / sum[i]);
        }
    }

    private void start(QueryTile tile, GroupRows out) {
        int heads = tile.count() * groupSize;
        if (max.length < heads) {
            max = new float[heads];
            sum = new float[heads];
            scale = new float[heads];
            next = new int[heads];
        }
        // A product for each query at the same place, at worst.
        int places = tile.batch() * ((tile.count() + tile.batch() - 1) / tile.batch() + 1);
        if (members.length < places) {
            members = new int[places];
            used = new int[places];
        }
        Arrays.fill(max, 0, heads, Float.NEGATIVE_INFINITY);
        Arrays.fill(sum, 0, heads, 0f);
        Arrays.fill(next, 0, tile.count(), 0);
        for (int i = 0; i < tile.count(); i++) {
            Arrays.fill(out.data(), out.at(i), out.at(i) + groupSize * headDim, 0f);
        }
    }

    /** The lowest block that a query has still to attend, or -1. */
    private int lowest(QueryTile tile, SelectedBlocks selected, int from) {
        int lowest = Integer.MAX_VALUE;
        for (int i = 0; i < tile.count(); i++) {
            if (next[i] < selected.counts()[from + i]) {
                lowest = Math.min(lowest, selected.get(from + i, next[i]));
            }
        }
        return lowest == Integer.MAX_VALUE ? -1 : lowest;
    }

    /**
     * Moves the queries that selected {@code block} on and gives each a place in a product; returns the number of products.
     */
    private int takeMembers(QueryTile tile, SelectedBlocks selected, int from, int block) {
        Arrays.fill(used, 0, tile.batch(), 0);
        Arrays.fill(members, NOBODY);
        int products = 0;
        for (int i = 0; i < tile.count(); i++) {
            if (next[i] < selected.counts()[from + i] && selected.get(from + i, next[i]) == block) {
                next[i]++;
                int place = tile.place(i);
                members[used[place]++ * tile.batch() + place] = i;
                products = Math.max(products, used[place]);
            }
        }
        return products;
    }

    private int member(QueryTile tile, int product, int place) {
        return members[product * tile.batch() + place];
    }

    /** A product of members' queries with the block's keys, into the worker's scores. */
    private void logits(QueryTile tile, int product, FloatPointer keys) {
        int group = groupSize * headDim;
        int rows = tile.batch() * groupSize;
        NativeFloats queries = worker.queries(rows * headDim);
        for (int place = 0; place < tile.batch(); place++) {
            int query = member(tile, product, place);
            if (query != NOBODY) {
                queries.put(place * group, tile.queries().data(), tile.queries().at(query), group);
            }
        }
        NativeFloats products = worker.products(rows * blockSize);
        FloatPointer q = queries.view();
        CpuLinear.gemm(rows, blockSize, headDim, q, headDim, keys, blockSize, 0f, products.view(), blockSize);
        products.get(0, worker.scores(rows * blockSize), 0, rows * blockSize);
    }

    /** Scores to softmax numerators; notes by what the earlier blocks' shrink. */
    private void numerators(QueryTile tile, int product, int block, float[] importance) {
        int rows = tile.batch() * groupSize;
        float[] scores = worker.scores(rows * blockSize);
        for (int row = 0; row < rows; row++) {
            int query = member(tile, product, row / groupSize);
            if (query == NOBODY) {
                continue;
            }
            int head = query * groupSize + row % groupSize;
            int at = row * blockSize;
            int visible = Math.min(blockSize, tile.position(query) + 1 - block * blockSize);
            if (importance.length > 0) {
                add(scores, at, importance, block * blockSize, visible);
            }
            float before = max[head];
            max[head] = Math.max(before, FastExp.max(scores, at, visible));
            scale[head] = FastExp.exp(before - max[head]);
            sum[head] = sum[head] * scale[head] + FastExp.softmaxNumerators(scores, at, visible, max[head]);
            Arrays.fill(scores, at + visible, at + blockSize, 0f);
        }
        worker.products(rows * blockSize).put(0, scores, 0, rows * blockSize);
    }

    /** Adds the numerators' products with the block's values to the members' outputs. */
    private void accumulate(QueryTile tile, int product, FloatPointer values, GroupRows out) {
        int rows = tile.batch() * groupSize;
        NativeFloats outputs = worker.outputs(rows * headDim);
        FloatPointer p = worker.products(rows * blockSize).view();
        CpuLinear.gemm(rows, headDim, blockSize, p, blockSize, values, headDim, 0f, outputs.view(), headDim);
        float[] products = worker.scores(rows * headDim);
        outputs.get(0, products, 0, rows * headDim);
        for (int row = 0; row < rows; row++) {
            int query = member(tile, product, row / groupSize);
            if (query != NOBODY) {
                int target = out.at(query) + row % groupSize * headDim;
                multiply(out.data(), target, scale[query * groupSize + row % groupSize]);
                add(out.data(), target, products, row * headDim, headDim);
            }
        }
    }

    private void multiply(float[] values, int at, float factor) {
        for (int i = at; i < at + headDim; i++) {
            values[i] *= factor;
        }
    }

    private static void add(float[] target, int at, float[] source, int from, int count) {
        for (int i = 0; i < count; i++) {
            target[at + i] += source[from + i];
        }
    }
}
