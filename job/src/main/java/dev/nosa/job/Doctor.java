package dev.nosa.job;

import dev.nosa.backend.cuda.CudaHost;
import dev.nosa.backend.cuda.HostLimits;
import dev.nosa.checkpoint.CheckpointException;
import dev.nosa.engine.EngineConfig;
import dev.nosa.engine.EngineSettings;
import dev.nosa.model.ModelConfig;
import dev.nosa.spark.ExecutorMemory;
import dev.nosa.spark.GpuAddress;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * What the process that it runs in has for an engine. Changes nothing but for a file that it makes and deletes.
 *
 * @param model folder of a checkpoint, or null
 * @param hostKv bytes of the host tier, 0: automatic
 * @param backend {@code auto}, {@code cpu} or {@code cuda}
 */
record Doctor(String model, long hostKv, String backend) implements Serializable {
    List<HealthCheck> examine() {
        List<HealthCheck> checks = new ArrayList<>();
        checks.add(java());
        checks.add(HealthCheck.ok("versions", new Version().getVersion()[0] + ", Spark " + sparkVersion()));
        checks.add(temporaryFolder(Path.of(System.getProperty("java.io.tmpdir"))));
        HostLimits limits = HostLimits.ofThisProcess();
        checks.add(memory(limits));
        checks.add(HealthCheck.ok(
                "memlock",
                limits.lockedMemory() + " (ulimit -l), which does not limit the memory that the driver pins"));
        checks.add(hostTier());
        checks.addAll(cuda());
        if (model != null) {
            checks.add(checkpoint());
        }
        return checks;
    }

    private static HealthCheck java() {
        Runtime jvm = Runtime.getRuntime();
        return HealthCheck.ok(
                "Java",
                System.getProperty("java.version") + " (" + System.getProperty("java.vendor") + "), "
                        + System.getProperty("os.name") + " " + System.getProperty("os.arch") + ", "
                        + jvm.availableProcessors() + " processors, heap up to " + ByteSize.format(jvm.maxMemory()));
    }

    private static String sparkVersion() {
        return org.apache.spark.package$.MODULE$.SPARK_VERSION() + ", Scala "
                + scala.util.Properties$.MODULE$.versionNumberString();
    }

    /** Native libraries are unpacked there. */
    static HealthCheck temporaryFolder(Path folder) {
        try {
            Files.delete(Files.createTempFile(folder, "nosa", ".tmp"));
            return HealthCheck.ok("temporary files", folder.toString());
        } catch (IOException e) {
            return HealthCheck.fail(
                    "temporary files",
                    folder + " cannot be written (" + e.getClass().getSimpleName()
                            + "), and native libraries are unpacked there; set another folder with -Djava.io.tmpdir"
                            + " (spark.executor.extraJavaOptions)");
        }
    }

    static HealthCheck memory(HostLimits limits) {
        String machine = "the machine has " + ByteSize.format(limits.availableBytes()) + " left";
        if (limits.containerBytes().isEmpty()) {
            return HealthCheck.ok("memory", machine + ", and no container limits it");
        }
        long limit = limits.containerBytes().get();
        String container = String.format(
                Locale.ROOT,
                "%s, the container may use %s and uses %s (%s)",
                machine,
                ByteSize.format(limit),
                ByteSize.format(limits.usedBytes()),
                limits.containerFile());
        long heap = Runtime.getRuntime().maxMemory();
        return heap < limit
                ? HealthCheck.ok("memory", container)
                : HealthCheck.fail(
                        "memory",
                        container + ", but the Java heap alone may grow to " + ByteSize.format(heap)
                                + "; take a smaller heap (spark.executor.memory) or a larger container");
    }

    private HealthCheck hostTier() {
        if (hostKv == 0) {
            return HealthCheck.ok(
                    "host-kv", "not given: 40 % of the heap on CPU, with a GPU what is left beside the heap");
        }
        try {
            ExecutorMemory.ofThisProcess().check(hostKv);
            return HealthCheck.ok("host-kv", ByteSize.format(hostKv) + " fit");
        } catch (IllegalArgumentException e) {
            return HealthCheck.fail("host-kv", e.getMessage());
        }
    }

    private List<HealthCheck> cuda() {
        if (backend.equals("cpu")) {
            return List.of(HealthCheck.ok("GPU", "not looked for (--backend cpu)"));
        }
        int device;
        try {
            device = GpuAddress.here();
        } catch (IllegalStateException e) {
            return List.of(HealthCheck.fail("GPU", e.getMessage()));
        }
        List<HealthCheck> checks = new ArrayList<>();
        for (CudaHost.Part part : CudaHost.parts(device)) {
            if (part.found()) {
                checks.add(HealthCheck.ok(part.name(), part.text()));
            } else if (backend.equals("cuda")) {
                checks.add(HealthCheck.fail(part.name(), part.text() + "; or take --backend cpu"));
            } else {
                checks.add(HealthCheck.warn(part.name(), part.text() + "; until then the job runs on the CPU"));
            }
        }
        return checks;
    }

    private HealthCheck checkpoint() {
        try {
            EngineConfig engine = EngineConfig.builder(Path.of(model)).build();
            ModelConfig config = ModelCheck.read(engine);
            long bytes = EngineSettings.of(engine, config, true).layout().hostBytes(config.maxPositions());
            return HealthCheck.ok(
                    "model",
                    model + ": " + config.layers() + " layers, mode "
                            + config.mode().configName() + "; on a GPU its longest document, "
                            + config.maxPositions() + " tokens, takes " + ByteSize.format(bytes) + " of host memory");
        } catch (CheckpointException | IllegalArgumentException | UsageException e) {
            return HealthCheck.fail(
                    "model", e.getMessage() + "; executors need the checkpoint under the same path as the driver");
        }
    }
}
