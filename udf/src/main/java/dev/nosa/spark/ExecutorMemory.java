package dev.nosa.spark;

import dev.nosa.backend.cuda.HostLimits;
import org.apache.spark.SparkEnv;

/**
 * Whether an executor has the host memory for its engine: beside the Java heap in its container, or of its machine.
 *
 * @param limits of the process
 * @param heapBytes that the Java heap can grow to
 * @param jvmBytes that the rest of the JVM may take
 */
public record ExecutorMemory(HostLimits limits, long heapBytes, long jvmBytes) {
    /** Of this JVM. In local mode the heap's own share is all that is known to be needed. */
    public static ExecutorMemory ofThisProcess() {
        SparkEnv env = SparkEnv.get();
        boolean executor = env != null && !env.executorId().equals("driver");
        return new ExecutorMemory(
                HostLimits.ofThisProcess(), Runtime.getRuntime().maxMemory(), executor ? ContainerMemory.JVM_BYTES : 0);
    }

    /**
     * Refuses a host tier that does not fit.
     *
     * @param hostKv bytes; 0: the engine takes what there is
     * @throws IllegalArgumentException that says how much fits and what to set
     */
    public void check(long hostKv) {
        if (hostKv == 0) {
            return;
        }
        long beside = Math.addExact(heapBytes, jvmBytes);
        limits.containerBytes()
                .filter(limit -> Math.addExact(hostKv, beside) > limit)
                .ifPresent(limit -> {
                    throw new IllegalArgumentException("host-kv: " + Sizes.text(hostKv) + " do not fit on "
                            + ExecutorPlace.here() + ": its container has " + Sizes.text(limit) + " ("
                            + limits.containerFile()
                            + "), of which the Java heap takes " + Sizes.text(heapBytes) + " and the JVM beside it "
                            + Sizes.text(jvmBytes) + "; set spark.executor.memoryOverhead to "
                            + Sizes.setting(Math.addExact(hostKv, jvmBytes)) + " or more, or --host-kv to at most "
                            + Sizes.text(Math.max(0, limit - beside)));
                });
        if (limits.availableBytes() > 0 && hostKv > limits.availableBytes()) {
            throw new IllegalArgumentException("host-kv: " + Sizes.text(hostKv) + " do not fit on "
                    + ExecutorPlace.here() + ": the machine has " + Sizes.text(limits.availableBytes())
                    + " left; take a --host-kv below that, or a larger machine");
        }
    }
}
