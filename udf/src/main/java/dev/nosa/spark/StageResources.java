package dev.nosa.spark;

import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.resource.ExecutorResourceRequests;
import org.apache.spark.resource.ResourceProfile;
import org.apache.spark.resource.ResourceProfileBuilder;
import org.apache.spark.resource.TaskResourceRequests;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.StructType;

/**
 * Executors with a GPU for the generating stage alone, as a resource profile of Spark: reading and shuffling run on the
 * application's other executors. Spark starts such executors by dynamic allocation only.
 *
 * @param memory of the Java heap, as Spark's settings have it
 * @param discoveryScript prints GPU addresses; empty where the cluster manager gives them
 * @param vendor that Kubernetes asks for, such as nvidia.com
 */
record StageResources(int cores, String memory, String overhead, String discoveryScript, String vendor) {
    /** Whether the generating stage has a profile of its own; default: no. */
    static final String ENABLED = "spark.nosa.stageResources";

    static final String OVERHEAD = "spark.nosa.stage.memoryOverhead";

    private static final String CORES = "spark.nosa.stage.cores";
    private static final String MEMORY = "spark.nosa.stage.memory";
    private static final String SCRIPT = "spark.nosa.stage.gpu.discoveryScript";
    private static final String VENDOR = "spark.nosa.stage.gpu.vendor";

    static final Set<String> KEYS = Set.of(ENABLED, OVERHEAD, CORES, MEMORY, SCRIPT, VENDOR);

    private static final String GPU = "gpu";
    private static final long MIB = 1L << 20;

    /** A profile made anew would get executors of its own, and their engines would load the model again. */
    private static final Map<StageResources, ResourceProfile> PROFILES = new ConcurrentHashMap<>();

    /**
     * What the configuration asks for; empty where it is off.
     *
     * @throws IllegalArgumentException if Spark could not give it; the message has the setting
     */
    static Optional<StageResources> of(SparkConf conf) {
        if (!conf.getBoolean(ENABLED, false)) {
            return Optional.empty();
        }
        String master = conf.get("spark.master", "");
        if (master.equals("local") || master.startsWith("local[")) {
            throw refused("local mode has one executor, the driver; take a cluster, or leave it out");
        }
        if (!conf.getBoolean("spark.dynamicAllocation.enabled", false)) {
            throw refused("Spark starts executors of another kind by dynamic allocation only; set"
                    + " spark.dynamicAllocation.enabled=true");
        }
        if (conf.getInt("spark.executor.resource.gpu.amount", 0) > 0) {
            throw refused("with spark.executor.resource.gpu.amount = "
                    + conf.get("spark.executor.resource.gpu.amount")
                    + " all executors would hold GPUs; leave that and spark.task.resource.gpu.amount out");
        }
        int cores = conf.getInt(CORES, conf.getInt("spark.executor.cores", 1));
        if (cores < 1) {
            throw new IllegalArgumentException(CORES + " = " + cores + ": must be 1 or more");
        }
        return Optional.of(new StageResources(
                cores,
                conf.get(MEMORY, conf.get("spark.executor.memory", "1g")),
                conf.get(OVERHEAD, conf.get("spark.executor.memoryOverhead", "2g")),
                conf.get(SCRIPT, ""),
                conf.get(VENDOR, "")));
    }

    private static IllegalArgumentException refused(String why) {
        return new IllegalArgumentException(ENABLED + " = true: " + why);
    }

    long overheadBytes() {
        return new SparkConf(false).set(OVERHEAD, overhead).getSizeAsMb(OVERHEAD) * MIB;
    }

    /** {@code rows.mapPartitions(function)} on executors of this kind. What {@code rows} shuffles is computed at once. */
    Dataset<Row> mapPartitions(
            Dataset<Row> rows, FlatMapFunction<java.util.Iterator<Row>, Row> function, StructType output) {
        JavaRDD<Row> results = rows.toJavaRDD().mapPartitions(function).withResources(profile());
        return rows.sparkSession().createDataFrame(results, output);
    }

    /** One GPU an executor, and as many tasks as cores share it. */
    ResourceProfile profile() {
        return PROFILES.computeIfAbsent(this, StageResources::build);
    }

    private ResourceProfile build() {
        ExecutorResourceRequests executor = new ExecutorResourceRequests()
                .cores(cores)
                .memory(memory)
                .memoryOverhead(overhead)
                .resource(GPU, 1, discoveryScript, vendor);
        TaskResourceRequests task = new TaskResourceRequests().cpus(1).resource(GPU, 1.0 / cores);
        return new ResourceProfileBuilder().require(executor).require(task).build();
    }
}
