package dev.nosa.spark;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.IntConsumer;
import org.apache.spark.SparkEnv;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Ends an executor whose engine has failed, so that the cluster manager starts another: a GPU's context that was lost stays lost
 * for the process. The driver's process, which runs the tasks in local mode, goes on. Safe from any thread.
 */
final class ExecutorExit {
    /** What the cluster manager sees. */
    static final int CODE = 70; // EX_SOFTWARE of sysexits.h

    private static final Logger log = LoggerFactory.getLogger(ExecutorExit.class);
    private static final long REPORT_SECONDS = 5;
    private static final String DRIVER = "driver";
    /** Shutdown hooks might wait for the engine. */
    private static final ExecutorExit INSTANCE = new ExecutorExit(Runtime.getRuntime()::halt);

    private final IntConsumer halt;
    private final AtomicBoolean begun = new AtomicBoolean();

    /** @param halt ends the process with a code */
    ExecutorExit(IntConsumer halt) {
        this.halt = halt;
    }

    /** The engine of this JVM has failed for good. */
    static void engineFailed(RuntimeException cause) {
        SparkEnv env = SparkEnv.get();
        INSTANCE.engineFailed(cause, env == null ? DRIVER : env.executorId(), REPORT_SECONDS);
    }

    /** @param reportSeconds time for the tasks to report their failure */
    void engineFailed(RuntimeException cause, String executorId, long reportSeconds) {
        if (executorId.equals(DRIVER) || begun.getAndSet(true)) {
            return;
        }
        log.error("Executor {} ends with code {}, since its engine failed", executorId, CODE, cause);
        Thread thread = new Thread(() -> end(reportSeconds), "nosa-executor-exit");
        thread.setDaemon(true);
        thread.start();
    }

    private void end(long seconds) {
        try {
            TimeUnit.SECONDS.sleep(seconds);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        halt.accept(CODE);
    }
}
