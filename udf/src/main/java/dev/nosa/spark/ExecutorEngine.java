package dev.nosa.spark;

import dev.nosa.engine.EngineConfig;
import dev.nosa.engine.InferenceEngine;
import dev.nosa.spark.metrics.ErrorClass;
import dev.nosa.spark.metrics.Figures;
import dev.nosa.spark.metrics.WorkCounters;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.util.ShutdownHookManager;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskKilledException;
import org.apache.spark.resource.ResourceInformation;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The engine of this executor JVM: started by the first task that needs or foresees it, shared by all, closed with the JVM.
 * Safe from any thread. Other options in the same JVM are an error, since their model would not fit beside the first.
 */
public final class ExecutorEngine {
    private static final Logger log = LoggerFactory.getLogger(ExecutorEngine.class);
    private static final long POLL_MILLIS = 100;
    /** Of hooks at the JVM's end: what an executor reports last, in Spark's own, is of a living engine. */
    private static final int AFTER_SPARK = FileSystem.SHUTDOWN_HOOK_PRIORITY;

    private static final ExecutorEngine INSTANCE = new ExecutorEngine();

    private final WorkCounters counters = new WorkCounters();
    private Map<String, ResourceInformation> resources = Map.of();
    private EngineOptions options;
    private CompletableFuture<HostedModel> model;
    private int starts;
    private boolean hooked;

    private ExecutorEngine() {}

    /** Engines that were started in this JVM so far: 1 at most, unless one was closed. */
    public static int started() {
        return INSTANCE.startCount();
    }

    /** Closes the engine, if there is one, and forgets it: for tests, and for programs that change the model. */
    public static void close() {
        INSTANCE.shutDown();
    }

    /** Counted since the start of this JVM, over all of its engines. */
    static WorkCounters counters() {
        return INSTANCE.counters;
    }

    /** What metrics are taken from now. */
    static Figures figures() {
        Optional<InferenceEngine> engine = INSTANCE.running();
        return Figures.of(
                INSTANCE.counters,
                engine.map(InferenceEngine::stats),
                engine.map(running -> running.info().maxBatch()).orElse(0));
    }

    static Map<String, ResourceInformation> resources() {
        return INSTANCE.keptResources();
    }

    /** What Spark gave to this executor, for tasks that ask for no GPU themselves. */
    static void setResources(Map<String, ResourceInformation> ofExecutor) {
        INSTANCE.keepResources(ofExecutor);
    }

    /**
     * The engine, started if there is none. Waits until it is loaded, or the task is killed.
     *
     * @throws IllegalStateException if the engine of this JVM has other options, or cannot be started; every task then
     *     gets the first cause, and nothing is loaded again
     */
    static HostedModel get(EngineOptions options, ModelStarter starter, BooleanSupplier killed)
            throws InterruptedException {
        return INSTANCE.await(options, starter, killed);
    }

    /** Starts the engine if there is none, and does not wait for it. */
    static void begin(EngineOptions options, ModelStarter starter) {
        INSTANCE.find(options, starter);
    }

    private HostedModel await(EngineOptions wanted, ModelStarter starter, BooleanSupplier killed)
            throws InterruptedException {
        CompletableFuture<HostedModel> future = find(wanted, starter);
        while (true) {
            try {
                return future.get(POLL_MILLIS, TimeUnit.MILLISECONDS);
            } catch (TimeoutException e) {
                if (killed.getAsBoolean()) {
                    throw new TaskKilledException("killed while the engine started");
                }
            } catch (ExecutionException e) {
                counters.add(ErrorClass.START, 1);
                throw new EngineStartException(e.getCause());
            }
        }
    }

    private synchronized Optional<InferenceEngine> running() {
        boolean loaded = model != null && model.isDone() && !model.isCompletedExceptionally();
        return loaded ? Optional.of(model.join().engine()) : Optional.empty();
    }

    private synchronized Map<String, ResourceInformation> keptResources() {
        return resources;
    }

    private synchronized void keepResources(Map<String, ResourceInformation> ofExecutor) {
        resources = Map.copyOf(ofExecutor);
    }

    private synchronized int startCount() {
        return starts;
    }

    private synchronized void countStart() {
        starts++;
    }

    private synchronized void shutDown() {
        if (model != null) {
            model.thenAccept(ExecutorEngine::close);
        }
        model = null;
        options = null;
    }

    /** A failure has no one to go to: the engine may have been loading still when it was given up. */
    private static void close(HostedModel loaded) {
        try {
            loaded.engine().close();
        } catch (RuntimeException e) {
            log.error("The engine could not be closed", e);
        }
    }

    private synchronized CompletableFuture<HostedModel> find(EngineOptions wanted, ModelStarter starter) {
        if (model != null) {
            Optional<String> difference = options.firstDifference(wanted);
            if (difference.isEmpty()) {
                return model;
            }
            if (!model.isCompletedExceptionally()) {
                throw new IllegalStateException("this executor's engine runs with " + difference.get()
                        + " is asked for: one executor holds one model; use the same options, or another application");
            }
        }
        if (!hooked) {
            hooked = true;
            ShutdownHookManager.get().addShutdownHook(this::shutDown, AFTER_SPARK);
        }
        options = wanted;
        int gpu = GpuAddress.ofThisTask(resources);
        // On a thread of its own: killing the task that came first must not fail the others.
        model = CompletableFuture.supplyAsync(() -> start(wanted, gpu, starter), ExecutorEngine::runDaemon);
        return model;
    }

    private static void runDaemon(Runnable command) {
        Thread thread = new Thread(command, "nosa-engine-start");
        thread.setDaemon(true);
        thread.start();
    }

    private HostedModel start(EngineOptions options, int gpu, ModelStarter starter) {
        ExecutorMemory.ofThisProcess().check(options.hostKvBytes());
        EngineConfig config = options.toConfig(executorCores(), gpu);
        long begin = System.nanoTime();
        HostedModel started = starter.start(config);
        log.info(
                "Engine of this JVM (process {}) started in {} ms: {}",
                ProcessHandle.current().pid(),
                TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begin),
                config);
        countStart();
        return started;
    }

    /** 0 where Spark does not know, as in local mode: the engine then takes all processors. */
    private static int executorCores() {
        SparkEnv env = SparkEnv.get();
        return env == null ? 0 : env.conf().getInt("spark.executor.cores", 0);
    }
}
