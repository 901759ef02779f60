package dev.nosa.spark;

import dev.nosa.engine.InferenceEngine;
import dev.nosa.spark.metrics.ErrorClass;
import dev.nosa.spark.metrics.WorkCounters;
import dev.nosa.tokenizer.ChatTemplate;
import java.time.Instant;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicInteger;

/** An engine with what the tasks of its JVM share beside it. Safe from any thread. */
final class HostedModel {
    private final InferenceEngine engine;
    private final Optional<ChatTemplate> chat;
    private final WorkCounters counters = ExecutorEngine.counters();
    private final String name = UUID.randomUUID().toString();
    private final Instant started = Instant.now();
    private final AtomicInteger tasks = new AtomicInteger();

    HostedModel(InferenceEngine engine, Optional<ChatTemplate> chat) {
        this.engine = engine;
        this.chat = chat;
    }

    InferenceEngine engine() {
        return engine;
    }

    EngineReport report() {
        return EngineReport.of(name, started, engine);
    }

    Optional<ChatTemplate> chat() {
        return chat;
    }

    /** Where tasks count what they do. */
    WorkCounters counters() {
        return counters;
    }

    /** Throws with the first cause if the engine has failed; an executor of a cluster then ends. */
    void checkAlive() {
        try {
            engine.checkAlive();
        } catch (IllegalStateException e) {
            if (e.getCause() != null) { // failed, and not just closed
                counters.add(ErrorClass.ENGINE, 1);
                ExecutorExit.engineFailed(e);
            }
            throw e;
        }
    }

    /** A task begins to submit. */
    void enter() {
        tasks.incrementAndGet();
    }

    /** A task has ended. */
    void leave() {
        tasks.decrementAndGet();
    }

    /** Requests that each task may have in flight: together twice the batch, so that it is refilled without a wait. */
    int window() {
        int sharers = Math.max(1, tasks.get());
        return Math.max(1, (2 * engine.info().maxBatch() + sharers - 1) / sharers);
    }
}
