package dev.nosa.spark;

import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.checkpoint.CheckpointException;
import dev.nosa.checkpoint.Checkpoints;
import dev.nosa.model.ModelConfigParser;
import dev.nosa.spark.metrics.ClusterFigures;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.PluginContext;

/** The plugin on the driver: checks before any task runs, and metrics of all executors. */
final class NosaDriverPlugin implements DriverPlugin {
    /** Reports that an executor may miss before it counts as gone. */
    private static final int MISSED_REPORTS = 3;

    private PluginConf settings;
    private volatile ClusterFigures figures;

    /** What does not fit is an {@link IllegalArgumentException}, which ends the session. */
    @Override
    public Map<String, String> init(SparkContext context, PluginContext plugin) {
        settings = PluginConf.of(plugin.conf());
        GpuAddress.check(context);
        settings.model().ifPresent(NosaDriverPlugin::checkModel);
        return Map.of();
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
