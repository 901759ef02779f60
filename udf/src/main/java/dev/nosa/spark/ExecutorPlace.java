package dev.nosa.spark;

import org.apache.spark.SparkEnv;

/** Names an executor in messages, so that its log can be found. */
public final class ExecutorPlace {
    private ExecutorPlace() {}

    /** {@code executor 3 on host worker-7}; in a JVM without Spark {@code this executor}. */
    public static String here() {
        SparkEnv env = SparkEnv.get();
        if (env == null) {
            return "this executor";
        }
        return "executor " + env.executorId() + " on host "
                + env.blockManager().blockManagerId().host();
    }
}
