package dev.nosa.spark;

import dev.nosa.engine.EngineConfig;
import java.util.Collections;
import org.apache.spark.SparkContext;
import org.apache.spark.api.java.JavaSparkContext;

/** Engines of executors that load their model while the driver still plans. */
public final class EarlyStart {
    private EarlyStart() {}

    /**
     * Has the executors that are there start their engines, and does not wait for it. Executors that come later start theirs with
     * their first document, as all do in local mode and where generation has executors of its own kind. A start that fails is
     * said by the tasks that need the engine.
     *
     * @throws IllegalArgumentException as {@link ClusterCheck#check}
     */
    public static void begin(SparkContext context, EngineConfig engine) {
        EngineOptions options = EngineOptions.of(engine);
        if (context.isLocal() || ClusterCheck.check(context, options).isPresent()) {
            return;
        }
        // As many tasks as run at once, so that Spark deals out some to each executor.
        int tasks = Math.max(context.defaultParallelism(), ExecutorCount.of(context));
        context.setJobDescription("engines start");
        JavaSparkContext.fromSparkContext(context)
                .parallelize(Collections.nCopies(tasks, 0), tasks)
                .foreachPartitionAsync(none -> ExecutorEngine.begin(options, ModelStarter.NOSA));
        context.setJobDescription(null);
    }
}
