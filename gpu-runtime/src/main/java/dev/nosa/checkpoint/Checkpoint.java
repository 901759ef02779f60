package dev.nosa.checkpoint;

import java.util.Set;

/** The tensors of a checkpoint folder, over one file or shards. Closing unmaps them. */
public interface Checkpoint extends AutoCloseable {
    Set<String> names();

    boolean has(String name);

    /** The tensor, or a {@link CheckpointException} if it is missing or has another shape. */
    CheckpointTensor tensor(String name, long... shape);

    @Override
    void close();
}
