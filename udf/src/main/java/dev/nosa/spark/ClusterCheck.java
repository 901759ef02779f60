package dev.nosa.spark;

import dev.nosa.engine.EngineConfig;
import java.util.Optional;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;

/** What the driver can tell about the cluster's settings before a task runs. */
public final class ClusterCheck {
    private ClusterCheck() {}

    /**
     * Refuses GPUs that Spark would not give, or leave idle, a generating stage that it would not start, and a host tier that
     * does not fit into executors' containers. Every transformation does this; a job may do it before it reads anything.
     *
     * @throws IllegalArgumentException that names the setting or option, and what to set
     */
    public static void check(SparkContext context, EngineConfig engine) {
        check(context, EngineOptions.of(engine));
    }

    /** As above; the executors that the generating stage has of its own, if so. */
    static Optional<StageResources> check(SparkContext context, EngineOptions engine) {
        GpuAddress.check(context);
        SparkConf conf = context.getConf();
        Optional<StageResources> stage = StageResources.of(conf);
        ContainerMemory.check(conf, stage, engine);
        return stage;
    }
}
