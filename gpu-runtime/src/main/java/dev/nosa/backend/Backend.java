package dev.nosa.backend;

import dev.nosa.checkpoint.CheckpointTensor;
import dev.nosa.tensor.Tensor;
import java.util.List;
import java.util.function.Function;

/**
 * Memory and operations of one device, on whole batches that stay there; the model is written once against this. Engine
 * thread only.
 *
 * <p>A token's result depends on its own sequence alone, bit for bit on CPU: never on its batch mates or on how a
 * prompt was cut into chunks.
 */
public interface Backend extends AutoCloseable {
    DeviceInfo device();

    /** Called once by the engine thread, before everything but the uploads. */
    default void bindThread() {}

    /** Uploads matrices (out, in) of equal width, stacked by rows. */
    Weight upload(List<CheckpointTensor> stacked);

    /** Uploads vectors, one behind the other, as (1, n). */
    Weight uploadVector(List<CheckpointTensor> parts);

    /** The residual stream of {@code rows} tokens, F32; contents undefined. Good until the next {@link #run}. */
    Tensor residual(int rows, int cols);

    /** What goes into or comes out of a product, in the backend's own type; otherwise as {@link #residual}. */
    Tensor activation(int rows, int cols);

    /**
     * Computes one batch: {@code model} calls this backend's operations and returns logits or a hidden state. A backend may
     * widen a batch of decodes to a size it likes (the result then has more rows), record what the model calls, and replay
     * it for the next batch of that size without calling the model.
     */
    default Tensor run(BatchInputs batch, Function<BatchInputs, Tensor> model) {
        return model.apply(batch);
    }

    /**
     * The batch, or several batches that are the batch together, in order: their layers take turns, so that one's attention can
     * wait for its blocks while another is computed.
     */
    default List<BatchInputs> parts(BatchInputs batch) {
        return List.of(batch);
    }

    /** The rows of the parts' activations, one part behind the other. */
    Tensor join(List<Tensor> parts);

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
     * embedding, importance, append to the KV cache, selection, transfer between the tiers, attention. Complete only behind
     * {@link #finishAttention}.
     *
     * @param qkv q, k and v side by side; may be overwritten
     * @param importance null in modes without importance
     */
    void attention(int layer, Tensor qkv, ImportanceWeights importance, BatchInputs batch, Tensor out);

    /** Completes {@code out} of {@link #attention}; other parts' operations may lie between the two. */
    default void finishAttention(int layer, BatchInputs batch, Tensor out) {}

    /** Logits of some rows of the normed hidden state, (rows.length, vocabulary). */
    Tensor logits(Tensor hidden, Weight head, int[] rows);

    /** Rows of logits that {@link #logits} computes at once at most; no batch of decodes has more. */
    int maxLogitRows();

    /**
     * The next tokens, one a choice; {@code -1 - t} where the logit of token t, the first such, is not finite.
     *
     * @see dev.nosa.sample.Sampler
     */
    int[] sample(Tensor logits, List<TokenChoice> choices);

    /** {@code log softmax(logits[rows[i]])[tokens[i]]}; NaN where a logit of the row is not finite. */
    float[] logProbs(Tensor logits, int[] rows, int[] tokens);

    /** Copies one row of logits to the host. */
    void read(Tensor logits, int row, float[] target);

    /** The KV cache's rows. */
    KvStore kv();

    /** What each slice of the last batch moved between the tiers, over all layers; resets the counters. */
    List<KvTraffic> takeTraffic(BatchInputs batch);

    /** Blocks that decode steps have fetched since the start, over all KV heads: [layers]. */
    long[] missedByLayer();

    @Override
    void close();
}
