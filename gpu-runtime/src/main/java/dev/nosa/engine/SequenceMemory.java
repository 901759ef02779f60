package dev.nosa.engine;

import dev.nosa.cache.KvCacheManager;
import dev.nosa.cache.SequenceCache;
import dev.nosa.runner.ModelRunner;
import dev.nosa.schedule.Sequence;

/** Opens and closes sequences on both sides: in the cache's books and in the runner's rows. */
final class SequenceMemory {
    private final KvCacheManager cache;
    private final ModelRunner runner;

    SequenceMemory(KvCacheManager cache, ModelRunner runner) {
        this.cache = cache;
        this.runner = runner;
    }

    /** Opens the row of a sequence that the scheduler admitted. */
    void open(Sequence sequence) {
        runner.open(sequence.cache().row(), sequence.maxTokens());
    }

    /** A sequence that computes {@code tokens} after all of {@code parent}, within the parent's reservation. */
    Sequence fork(Sequence parent, int[] tokens) {
        int length = parent.computed();
        SequenceCache child = cache.fork(parent.cache(), length, length + tokens.length);
        runner.fork(parent.cache().row(), child.row(), length, child.maxTokens());
        return Sequence.ofFork(length, tokens, child);
    }

    void close(Sequence sequence) {
        runner.release(sequence.cache().row());
        sequence.cache().close();
    }
}
