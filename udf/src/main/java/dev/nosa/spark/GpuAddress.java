package dev.nosa.spark;

import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.resource.ResourceInformation;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Which GPU Spark gave to an executor: its discovery script's address, the GPU's number on the host. In local mode Spark gives
 * none to tasks; there it is the driver's.
 */
public final class GpuAddress {
    private static final String RESOURCE = "gpu";
    /** What Spark calls the executor that is the driver. */
    private static final String LOCAL_EXECUTOR = "driver";

    private static final String OF_TASKS = "spark.task.resource.gpu.amount";
    private static final String OF_EXECUTORS = "spark.executor.resource.gpu.amount";

    private GpuAddress() {}

    /** The GPU of the engine that a task here would use; 0 where Spark knows no GPUs, or there is no Spark. */
    public static int here() {
        return ofThisTask(ExecutorEngine.resources());
    }

    /**
     * Refuses what Spark would silently wait for, or leave idle.
     *
     * @throws IllegalArgumentException if tasks ask for GPUs in local mode, where no such task ever starts, or executors for
     *     several
     */
    public static void check(SparkContext context) {
        check(context.isLocal(), context.getConf());
    }

    static void check(boolean local, SparkConf conf) {
        if (local && conf.getDouble(OF_TASKS, 0) > 0) {
            throw new IllegalArgumentException("local mode has no GPUs for tasks, so with " + OF_TASKS + " = "
                    + conf.get(OF_TASKS) + " none would ever start; give the driver its GPU instead:"
                    + " spark.driver.resource.gpu.amount=1 and spark.driver.resource.gpu.discoveryScript");
        }
        if (conf.getInt(OF_EXECUTORS, 1) > 1) {
            throw new IllegalArgumentException(OF_EXECUTORS + " = " + conf.get(OF_EXECUTORS)
                    + ": an executor has one engine on one GPU, so the others would idle; set it to 1, and start as many"
                    + " executors as there are GPUs");
        }
    }

    /**
     * Of the calling task, else of its executor, or 0 where Spark knows no GPUs.
     *
     * @param ofExecutor resources of the executor
     * @throws IllegalStateException if the address is no number
     */
    static int ofThisTask(Map<String, ResourceInformation> ofExecutor) {
        TaskContext task = TaskContext.get();
        if (task == null) {
            return 0;
        }
        boolean local = LOCAL_EXECUTOR.equals(SparkEnv.get().executorId());
        if (local) {
            return of(CollectionConverters.asJava(SparkContext.getOrCreate().resources()), "driver");
        }
        return of(task.resourcesJMap().containsKey(RESOURCE) ? task.resourcesJMap() : ofExecutor, "executor");
    }

    static int of(Map<String, ResourceInformation> resources, String process) {
        ResourceInformation gpus = resources.get(RESOURCE);
        if (gpus == null || gpus.addresses().length == 0) {
            return 0;
        }
        try {
            return Integer.parseInt(gpus.addresses()[0].trim());
        } catch (NumberFormatException e) {
            throw new IllegalStateException(
                    "Spark's GPU address '" + gpus.addresses()[0] + "' is no number: the discovery script (spark."
                            + process + ".resource.gpu.discoveryScript) has to print the GPUs' numbers",
                    e);
        }
    }
}
