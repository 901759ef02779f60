package dev.nosa.engine;

import java.util.concurrent.CompletableFuture;

/** A submitted request. Safe from any thread. */
public interface RequestHandle<R> {
    /**
     * Completes with the request's result whatever happens to it, and is never completed exceptionally.
     *
     * <p>It completes on the engine's thread: dependent actions must be short, or use the {@code Async} methods. One that
     * submits to the engine or closes it from that thread gets an {@link IllegalStateException}.
     */
    CompletableFuture<R> result();

    /** Asks the engine to stop working on it; the result then has {@link FinishReason#CANCELLED}. */
    void cancel();
}
