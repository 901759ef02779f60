package dev.nosa.runner;

import dev.nosa.backend.DeviceInfo;
import java.util.List;

/**
 * One forward pass over a batch, and the device rows that it runs on. Called by the engine thread alone.
 *
 * <p>Rows: {@link #open} before the first step of a sequence, {@link #release} after its last.
 */
public interface ModelRunner extends AutoCloseable {
    /** Called once by the thread that calls all other methods but {@link #close}, before them. */
    void bindThread();

    DeviceInfo device();

    /** Reserves {@code row}'s device state for a sequence of at most {@code maxTokens} tokens. */
    void open(int row, int maxTokens);

    /**
     * Opens {@code child} with {@code parent}'s first {@code length} tokens: compressed keys, importance and the tail
     * block are copied, slots start empty. Finished blocks are shared on the host through the block table.
     */
    void fork(int parent, int child, int length, int maxTokens);

    /**
     * Computes one step, prefill chunks first and then decodes; the outputs stand in the order of the inputs. A failure here is the backend's, not one
     * sequence's, and ends the engine.
     */
    List<SequenceOutput> run(List<SequenceInput> batch);

    /** Blocks that decode steps have fetched since the start, over all KV heads: [layers]. */
    long[] missedByLayer();

    /** Frees the row's device state. */
    void release(int row);

    @Override
    void close();
}
