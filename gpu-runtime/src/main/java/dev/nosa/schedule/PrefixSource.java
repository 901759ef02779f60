package dev.nosa.schedule;

import java.util.Optional;

/** Sequences that several requests continue, as the scheduler sees them. */
public interface PrefixSource<R extends Schedulable> {
    /** What has to be computed before the next request in line, and is neither computed nor on its way. */
    Optional<R> missing(R request);

    /** Gives memory back that no request needs now; false if there is none. */
    boolean evict();

    /** No request continues another sequence. */
    static <R extends Schedulable> PrefixSource<R> none() {
        return new PrefixSource<>() {
            @Override
            public Optional<R> missing(R request) {
                return Optional.empty();
            }

            @Override
            public boolean evict() {
                return false;
            }
        };
    }
}
