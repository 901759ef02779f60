package dev.nosa.schedule;

import dev.nosa.cache.MemoryDemand;

/** What the scheduler knows of a request. */
public interface Schedulable {
    /** Memory for its whole life. */
    MemoryDemand demand();

    /** What to compute next; the same until the request ends or goes on to another sequence of its own. */
    Sequence sequence();
}
