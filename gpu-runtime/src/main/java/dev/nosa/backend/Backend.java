package dev.nosa.backend;

import dev.nosa.checkpoint.CheckpointTensor;
import dev.nosa.tensor.Tensor;
import java.util.List;

/**
 * Memory and operations of one device, on whole batches that stay there; the model is written once against this. Engine
 * thread only.
 *
 * <p>A token's result depends on its own sequence alone, bit for bit on CPU: never on its batch mates or on how a
 * prompt was cut into chunks.
 */
public interface Backend extends AutoCloseable {
    String name();

    /** Uploads matrices (out, in) of equal width, stacked by rows. */
    Weight upload(List<CheckpointTensor> stacked);

    /** Uploads vectors, one behind the other, as (1, n). */
    Weight uploadVector(List<CheckpointTensor> parts);

    /** Activations of {@code rows} tokens; contents undefined. */
    Tensor tensor(int rows, int cols);

    /** {@code out[i] = table[tokens[i]]}. */
    void embed(Weight table, BatchInputs batch, Tensor out);

    /** {@code out = x / sqrt(mean(x^2) + eps) * gain}, by row. */
    void rmsNorm(Tensor x, Weight gain, float eps, Tensor out);

    /** {@code out = x w^T + bias}; the bias may be null. */
    void linear(Tensor x, Weight w, Weight bias, BatchInputs batch, Tensor out);

    /** {@code out += x w^T + bias}: the residual. */
    void addLinear(Tensor x, Weight w, Weight bias, BatchInputs batch, Tensor out);

    /** {@code out = silu(gate) * up}, where a row of {@code gateUp} is gate and up side by side. */
    void siluMul(Tensor gateUp, Tensor out);

    /**
     * One attention layer between the projections (NOSA specification, section 2, steps 1 to 8, and section 4): rotary
     * embedding, importance, append to the KV cache, selection, transfer between the tiers, attention.
     *
     * @param qkv q, k and v side by side; may be overwritten
     * @param importance null in modes without importance
     */
    void attention(int layer, Tensor qkv, ImportanceWeights importance, BatchInputs batch, Tensor out);

    /** Logits of some rows of the normed hidden state, (rows.length, vocabulary). */
    Tensor logits(Tensor hidden, Weight head, int[] rows);

    /** Copies one row to the host. */
    void read(Tensor tensor, int row, float[] target);

    /** The KV cache's rows. */
    KvStore kv();

    /** What each slice of the last batch moved between the tiers, over all layers; resets the counters. */
    List<KvTraffic> takeTraffic(BatchInputs batch);

    @Override
    void close();
}
