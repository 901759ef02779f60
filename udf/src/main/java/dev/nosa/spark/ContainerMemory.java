package dev.nosa.spark;

import java.util.Optional;
import org.apache.spark.SparkConf;

/**
 * Checks on the driver, before any task runs, that the host tier fits into the containers that YARN or Kubernetes will make:
 * pinned memory counts to their overhead, and a container that goes over it is killed.
 */
final class ContainerMemory {
    /** For class data, code, threads, network buffers and CUDA's own host memory: an allowance. */
    static final long JVM_BYTES = 2L << 30;

    private static final String OVERHEAD = "spark.executor.memoryOverhead";
    private static final String YARN = "yarn";
    private static final double FACTOR = 0.1;
    private static final long MIB = 1L << 20;

    private ContainerMemory() {}

    /** @throws IllegalArgumentException that begins with {@code host-kv} and has the value to set */
    static void check(SparkConf conf, Optional<StageResources> stage, EngineOptions engine) {
        String master = conf.get("spark.master", "");
        if (!master.equals(YARN) && !master.startsWith("k8s://")) {
            return; // the other kinds of cluster give no limit to an executor
        }
        String key = stage.isPresent() ? StageResources.OVERHEAD : OVERHEAD;
        long overhead = stage.map(StageResources::overheadBytes).orElseGet(() -> overhead(conf, master));
        long fits = Math.max(0, overhead - JVM_BYTES);
        if (engine.hostKvBytes() > fits) {
            throw new IllegalArgumentException("host-kv: " + Sizes.text(engine.hostKvBytes())
                    + " do not fit into an executor's container beside " + Sizes.text(JVM_BYTES) + " for the JVM: "
                    + key + " is " + Sizes.text(overhead) + "; set it to "
                    + Sizes.setting(Math.addExact(engine.hostKvBytes(), JVM_BYTES))
                    + " or more, or --host-kv to at most "
                    + Sizes.text(fits));
        }
        boolean gpus = stage.isPresent() || conf.getInt("spark.executor.resource.gpu.amount", 0) > 0;
        if (engine.hostKvBytes() == 0
                && master.equals(YARN)
                && gpus
                && !engine.backend().equals("cpu")) {
            throw new IllegalArgumentException("host-kv: an executor on YARN cannot see the limit of its container, so"
                    + " the size has to be given; " + key + " is " + Sizes.text(overhead)
                    + ", of which the JVM may need "
                    + Sizes.text(JVM_BYTES) + ": set --host-kv to at most " + Sizes.text(fits));
        }
    }

    /** What Spark adds to an executor's heap. */
    private static long overhead(SparkConf conf, String master) {
        if (conf.contains(OVERHEAD)) {
            return conf.getSizeAsMb(OVERHEAD) * MIB;
        }
        double kubernetes =
                master.equals(YARN) ? FACTOR : conf.getDouble("spark.kubernetes.memoryOverheadFactor", FACTOR);
        double factor = conf.getDouble("spark.executor.memoryOverheadFactor", kubernetes);
        long heap = conf.getSizeAsMb("spark.executor.memory", "1g");
        long least = conf.getSizeAsMb("spark.executor.minMemoryOverhead", "384m");
        return Math.max((long) (factor * heap), least) * MIB;
    }
}
