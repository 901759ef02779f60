package dev.nosa.backend.cpu;

import dev.nosa.sparse.BlockSelection;

/** Scratch of one worker thread; buffers grow to the largest size asked for. */
final class CpuWorker implements AutoCloseable {
    private final BlockSelection selection;
    private float[] heap = new float[0];
    private float[] scores = new float[0];
    private NativeFloats weights = new NativeFloats(0);
    private NativeFloats queries = new NativeFloats(0);
    private NativeFloats products = new NativeFloats(0);
    private NativeFloats outputs = new NativeFloats(0);

    CpuWorker(BlockSelection selection) {
        this.selection = selection;
    }

    BlockSelection selection() {
        return selection;
    }

    float[] heap(int size) {
        if (heap.length < size) {
            heap = new float[size];
        }
        return heap;
    }

    /** Heap copy of products, for the softmax. */
    float[] scores(int size) {
        if (scores.length < size) {
            scores = new float[size];
        }
        return scores;
    }

    NativeFloats weights(int size) {
        weights = grown(weights, size);
        return weights;
    }

    /** The group's queries, (G, D). */
    NativeFloats queries(int size) {
        queries = grown(queries, size);
        return queries;
    }

    /** Query-key products, (G, tokens or windows). */
    NativeFloats products(int size) {
        products = grown(products, size);
        return products;
    }

    /** The group's attention output, (G, D). */
    NativeFloats outputs(int size) {
        outputs = grown(outputs, size);
        return outputs;
    }

    static NativeFloats grown(NativeFloats floats, long size) {
        if (floats.size() >= size) {
            return floats;
        }
        floats.close();
        return new NativeFloats(Math.max(size, Math.min(2L * floats.size(), Integer.MAX_VALUE / Float.BYTES)));
    }

    @Override
    public void close() {
        weights.close();
        queries.close();
        products.close();
        outputs.close();
    }
}
