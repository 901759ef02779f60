package dev.nosa.checkpoint;

/** One named tensor of a checkpoint, memory-mapped; read in pieces and widened to F32. Safe from any thread. */
public interface CheckpointTensor {
    String name();

    /** The file that holds it, for messages. */
    String file();

    /** {@code F32}, {@code F16} or {@code BF16}. */
    String dtype();

    /** Sizes, outermost first. */
    long[] shape();

    /** Product of the shape. */
    long elements();

    /**
     * Widens elements [offset, offset + count) into {@code target}. A value that is not finite is a
     * {@link CheckpointException} that names file and tensor.
     */
    void read(long offset, float[] target, int targetOffset, int count);
}
