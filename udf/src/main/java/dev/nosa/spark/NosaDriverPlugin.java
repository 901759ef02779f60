package dev.nosa.spark;

import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.checkpoint.CheckpointException;
import dev.nosa.checkpoint.Checkpoints;
import dev.nosa.model.ModelConfigParser;
import dev.nosa.spark.metrics.ClusterFigures;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The plugin on the driver: checks before any task runs, and metrics of all executors. */
final class NosaDriverPlugin implements DriverPlugin {
    private static final Logger log = LoggerFactory.getLogger(NosaDriverPlugin.class);
    private static final String TASK_GPUS = "spark.task.resource.gpu.amount";
    /** Reports that an executor may miss before it counts as gone. */
    private static final int MISSED_REPORTS = 3;

    private PluginConf settings;
    private volatile ClusterFigures figures;

    /** What does not fit is an {@link IllegalArgumentException}, which ends the session. */
    @Override
    public Map<String, String> init(SparkContext context, PluginContext plugin) {
        settings = PluginConf.of(plugin.conf());
        GpuAddress.check(context);
        idleCores(plugin.conf()).ifPresent(log::warn);
        settings.model().ifPresent(NosaDriverPlugin::checkModel);
        return Map.of();
    }

    /** What to say where tasks ask for so much of the GPU that fewer run than there are cores. */
    static Optional<String> idleCores(SparkConf conf) {
        int cores = conf.getInt("spark.executor.cores", 1);
        double amount = conf.getDouble(TASK_GPUS, 0);
        long tasks = amount == 0 ? cores : (long) (1 / amount);
        return tasks >= cores
                ? Optional.empty()
                : Optional.of(TASK_GPUS + " = " + conf.get(TASK_GPUS) + " lets an executor run " + tasks + " of its "
                        + cores + " tasks at a time; set it to 1/cores, " + Math.floor(1e4 / cores) / 1e4);
    }

    private static void checkModel(String folder) {
        try (Checkpoint checkpoint = Checkpoints.open(Path.of(folder))) {
            ModelConfigParser.parse(Path.of(folder), checkpoint);
        } catch (CheckpointException | IllegalArgumentException e) {
            throw new IllegalArgumentException(
                    PluginConf.MODEL + " = " + folder + ": " + e.getMessage()
                            + "; the driver and every executor need the checkpoint under this path",
                    e);
        }
    }

    @Override
    public void registerMetrics(String application, PluginContext plugin) {
        long stale = TimeUnit.SECONDS.toNanos(MISSED_REPORTS * settings.reportSeconds());
        figures = new ClusterFigures(plugin.metricRegistry(), stale, System::nanoTime);
    }

    @Override
    public Object receive(Object message) {
        ClusterFigures to = figures;
        if (to != null && message instanceof ExecutorReport report) {
            to.report(report.executor(), report.values());
        }
        return null;
    }
}
