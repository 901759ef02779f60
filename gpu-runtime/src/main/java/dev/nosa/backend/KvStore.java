package dev.nosa.backend;

/** Device state of the sequences: slots, compressed keys, importance. Engine thread only. */
public interface KvStore {
    /** Reserves {@code row} for a sequence of at most {@code maxTokens} tokens. */
    void open(int row, int maxTokens);

    /** Opens {@code child} with a copy of the first {@code length} tokens' state of {@code parent}; slots start empty. */
    void fork(int parent, int child, int length, int maxTokens);

    /** Frees the row. */
    void release(int row);
}
