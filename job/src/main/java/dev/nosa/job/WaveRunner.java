package dev.nosa.job;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletionService;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.ToLongFunction;
import org.apache.spark.SparkContext;

/**
 * Runs waves in order, two at a time: while the last documents of one wave are computed, those of the next come in, so that no
 * engine runs empty between them. {@link WaveGate} keeps them half a wave apart.
 */
final class WaveRunner {
    private static final int AT_ONCE = 2;
    private static final String GROUP = "nosa";

    private WaveRunner() {}

    /** One wave, on a thread of its own. */
    interface Work<T> {
        void run(T wave) throws IOException;
    }

    /**
     * Returns when all are done; the first failure stops what still runs.
     *
     * @param documents of a wave
     */
    static <T> void run(List<T> waves, ToLongFunction<T> documents, WaveGate gate, SparkContext context, Work<T> work)
            throws IOException {
        ExecutorService threads = Executors.newFixedThreadPool(AT_ONCE);
        boolean done = false;
        try {
            CompletionService<Void> results = new ExecutorCompletionService<>(threads);
            for (T wave : waves) {
                results.submit(() -> {
                    gate.enter(documents.applyAsLong(wave));
                    try {
                        context.setJobGroup(GROUP, wave.toString(), true);
                        work.run(wave);
                    } finally {
                        gate.leave();
                    }
                    return null;
                });
            }
            for (int i = 0; i < waves.size(); i++) {
                results.take().get();
            }
            done = true;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while waves ran", e);
        } catch (ExecutionException e) {
            throw asIs(e.getCause());
        } finally {
            threads.shutdownNow();
            if (!done) {
                context.cancelJobGroup(GROUP);
            }
            awaitEnd(threads);
        }
    }

    /** What a thread has thrown, as it was where that is possible. */
    static IOException asIs(Throwable cause) {
        if (cause instanceof RuntimeException failure) {
            throw failure;
        }
        if (cause instanceof Error error) {
            throw error;
        }
        return cause instanceof IOException failure ? failure : new IOException(cause.getMessage(), cause);
    }

    /** What a wave still does must not meet what comes behind it. */
    private static void awaitEnd(ExecutorService threads) {
        try {
            threads.awaitTermination(1, TimeUnit.MINUTES);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
