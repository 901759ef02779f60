package dev.nosa.spark;

import dev.nosa.engine.EngineConfig;
import java.util.Collections;
import org.apache.spark.SparkContext;
import org.apache.spark.api.java.JavaSparkContext;

/** Engines of executors that load their model while the driver still plans. */
public final class EarlyStart {
    static final String DESCRIPTION = "engines start";

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
        int cores = context.defaultParallelism(); // Spark deals out so many tasks at once, some to each executor
        context.setJobDescription(DESCRIPTION);
        JavaSparkContext.fromSparkContext(context)
                .parallelize(Collections.nCopies(cores, 0), cores)
                .foreachPartitionAsync(none -> ExecutorEngine.begin(options, ModelStarter.NOSA));
        context.setJobDescription(null);
    }
}
