package dev.nosa.schedule;

import dev.nosa.cache.MemoryDemand;
import java.util.Optional;

/** What the scheduler knows of a request. */
public interface Schedulable {
    /** Memory for its whole life, if it continues no other sequence. */
    MemoryDemand demand();

    /** What to compute next; the same until the request ends or goes on to another sequence of its own. */
    Sequence sequence();

    /** The sequence that it continues, which has to be computed before and stays open as long; empty for none. */
    default Optional<Sequence> continued() {
        return Optional.empty();
    }
}
