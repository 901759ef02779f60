package dev.nosa.spark;

import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.SparkPlugin;

/**
 * For {@code spark.plugins}: checks the configuration before any task runs, tells executors their GPU where tasks ask for
 * none, publishes metrics and logs a line an interval. Transformations work without it.
 */
public final class NosaPlugin implements SparkPlugin {
    @Override
    public DriverPlugin driverPlugin() {
        return new NosaDriverPlugin();
    }

    @Override
    public ExecutorPlugin executorPlugin() {
        return new NosaExecutorPlugin();
    }
}
