package dev.nosa.spark;

import org.apache.spark.SparkContext;

/** How many executors there are. */
public final class ExecutorCount {
    private ExecutorCount() {}

    /** At least 1: in local mode the driver is the executor. */
    public static int of(SparkContext context) {
        return Math.max(1, context.statusTracker().getExecutorInfos().length - 1);
    }
}
