package dev.nosa.engine;

import dev.nosa.cache.KvCacheManager;
import dev.nosa.cache.SequenceCache;
import dev.nosa.runner.ModelRunner;
import dev.nosa.schedule.Sequence;
import java.util.Arrays;
import java.util.Optional;

/** Opens and closes sequences on both sides: in the cache's books and in the runner's rows. */
final class SequenceMemory {
    private final KvCacheManager cache;
    private final ModelRunner runner;

    SequenceMemory(KvCacheManager cache, ModelRunner runner) {
        this.cache = cache;
        this.runner = runner;
    }

    /** Opens the row of a sequence that the scheduler admitted, with what is computed of {@code continued}. */
    void open(Sequence sequence, Optional<Sequence> continued) {
        int row = sequence.cache().row();
        if (continued.isEmpty()) {
            runner.open(row, sequence.maxTokens());
        } else {
            Sequence parent = continued.get();
            runner.fork(parent.cache().row(), row, parent.computed(), sequence.maxTokens());
        }
    }

    /** A sequence that computes {@code tokens} after all of {@code parent}, within the parent's reservation. */
    Sequence fork(Sequence parent, int[] tokens) {
        int length = parent.computed();
        SequenceCache child = cache.fork(parent.cache(), length, length + tokens.length);
        runner.fork(parent.cache().row(), child.row(), length, child.maxTokens());
        int[] all = Arrays.copyOf(parent.history(), length + tokens.length);
        System.arraycopy(tokens, 0, all, length, tokens.length);
        return Sequence.ofFork(length, all, child);
    }

    void close(Sequence sequence) {
        runner.release(sequence.cache().row());
        sequence.cache().close();
    }
}
