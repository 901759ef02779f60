package dev.nosa.spark;

import java.util.Map;
import org.apache.spark.TaskContext;
import org.apache.spark.resource.ResourceInformation;

/** Which GPU Spark gave to an executor: its discovery script's address, the GPU's number on the host. */
final class GpuAddress {
    private static final String RESOURCE = "gpu";

    private GpuAddress() {}

    /**
     * Of the calling task, or 0 where Spark schedules no GPUs.
     *
     * @throws IllegalStateException if the address is no number
     */
    static int ofThisTask() {
        TaskContext task = TaskContext.get();
        return task == null ? 0 : of(task.resourcesJMap());
    }

    static int of(Map<String, ResourceInformation> resources) {
        ResourceInformation gpus = resources.get(RESOURCE);
        if (gpus == null || gpus.addresses().length == 0) {
            return 0;
        }
        try {
            return Integer.parseInt(gpus.addresses()[0].trim());
        } catch (NumberFormatException e) {
            throw new IllegalStateException(
                    "Spark's GPU address '" + gpus.addresses()[0] + "' is no number: the discovery script"
                            + " (spark.executor.resource.gpu.discoveryScript) has to print the GPUs' numbers",
                    e);
        }
    }
}
