package dev.nosa.backend.cpu;

/** Scratch of one worker thread; buffers grow to the largest size asked for. */
final class CpuWorker implements AutoCloseable {
    private float[] heap = new float[0];
    private float[] scores = new float[0];
    private NativeFloats weights = new NativeFloats(0);
    private NativeFloats queries = new NativeFloats(0);
    private NativeFloats products = new NativeFloats(0);
    private NativeFloats outputs = new NativeFloats(0);

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

    /** Query rows, (rows, D). */
    NativeFloats queries(int size) {
        queries = grown(queries, size);
        return queries;
    }

    /** Products of query rows with keys, (rows, tokens or windows). */
    NativeFloats products(int size) {
        products = grown(products, size);
        return products;
    }

    /** Products of softmax numerators with values, (rows, D). */
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
