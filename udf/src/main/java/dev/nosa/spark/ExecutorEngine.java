package dev.nosa.spark;

import dev.nosa.engine.EngineConfig;
import dev.nosa.engine.InferenceEngine;
import dev.nosa.engine.NosaEngine;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.RecordComponent;
import java.util.Objects;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The engine of this executor JVM: made by the first task that asks, shared by all, closed with the JVM. Safe from any
 * thread. Another configuration in the same JVM is an error, since its model would not fit beside the first.
 */
public final class ExecutorEngine {
    private static final Logger log = LoggerFactory.getLogger(ExecutorEngine.class);
    private static final ExecutorEngine INSTANCE = new ExecutorEngine();

    private EngineConfig config;
    private InferenceEngine engine;
    private RuntimeException failure;
    private int started;
    private boolean hooked;

    private ExecutorEngine() {}

    /**
     * The engine with {@code wanted}. The first call loads the model, and the others wait for it; if that fails, each
     * gets the first cause.
     *
     * @throws IllegalStateException if this JVM has an engine of another configuration
     */
    static InferenceEngine get(EngineConfig wanted) {
        return INSTANCE.getOrStart(wanted);
    }

    /** Engines that this JVM has started: 1 at most, unless {@link #close} was called between. */
    public static int started() {
        synchronized (INSTANCE) {
            return INSTANCE.started;
        }
    }

    /** Closes the engine, so that the next task may start another: for tests and for sessions in one JVM. */
    public static void close() {
        INSTANCE.closeEngine();
    }

    private synchronized InferenceEngine getOrStart(EngineConfig wanted) {
        if (config == null) {
            config = wanted;
            start();
        } else if (!config.equals(wanted)) {
            throw new IllegalStateException("this executor has an engine with " + difference(config, wanted)
                    + "; one JVM runs one engine configuration");
        }
        if (failure != null) {
            throw new IllegalStateException(
                    "the engine of this executor could not start: " + failure.getMessage(), failure);
        }
        return engine;
    }

    private void start() {
        long begin = System.nanoTime();
        try {
            engine = NosaEngine.start(config);
            started++;
        } catch (RuntimeException e) {
            failure = e; // every task fails alike instead of loading the model again
            return;
        }
        if (!hooked) {
            hooked = true;
            Runtime.getRuntime().addShutdownHook(new Thread(ExecutorEngine::close, "nosa-engine-close"));
        }
        log.info(
                "Engine {} of this JVM (process {}) started in {} ms: {}",
                started,
                ProcessHandle.current().pid(),
                (System.nanoTime() - begin) / 1_000_000,
                config);
    }

    private synchronized void closeEngine() {
        if (engine != null) {
            engine.close();
        }
        engine = null;
        config = null;
        failure = null;
    }

    private static String difference(EngineConfig has, EngineConfig wanted) {
        for (RecordComponent component : EngineConfig.class.getRecordComponents()) {
            try {
                Object old = component.getAccessor().invoke(has);
                Object asked = component.getAccessor().invoke(wanted);
                if (!Objects.equals(old, asked)) {
                    return component.getName() + " = " + old + ", this task wants " + asked;
                }
            } catch (IllegalAccessException | InvocationTargetException e) {
                throw new IllegalStateException("EngineConfig." + component.getName() + " cannot be read", e);
            }
        }
        return "another configuration";
    }
}
