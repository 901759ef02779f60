package dev.nosa.spark;

import com.codahale.metrics.Gauge;
import dev.nosa.spark.metrics.Figures;
import dev.nosa.spark.metrics.Metric;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The plugin on an executor: its GPU, its metrics, its line in the log. The engine starts with a task. */
final class NosaExecutorPlugin implements ExecutorPlugin {
    private static final Logger log = LoggerFactory.getLogger(NosaExecutorPlugin.class);

    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor(task -> {
        Thread thread = new Thread(task, "nosa-metrics");
        thread.setDaemon(true);
        return thread;
    });
    private final ProgressLog progress = new ProgressLog(System.nanoTime());
    private PluginContext context;

    @Override
    public void init(PluginContext plugin, Map<String, String> fromDriver) {
        context = plugin;
        ExecutorEngine.setResources(plugin.resources());
        for (Metric metric : Metric.ALL) {
            Gauge<Number> gauge = () -> metric.getter().apply(ExecutorEngine.figures());
            plugin.metricRegistry().register(metric.name(), gauge);
        }
        PluginConf settings = PluginConf.of(plugin.conf());
        repeat(this::report, settings.reportSeconds());
        if (settings.logSeconds() > 0) {
            repeat(this::logLine, settings.logSeconds());
        }
    }

    private void repeat(Runnable work, long seconds) {
        timer.scheduleWithFixedDelay(work, seconds, seconds, TimeUnit.SECONDS);
    }

    private void logLine() {
        progress.line(ExecutorEngine.figures(), System.nanoTime())
                .ifPresent(line -> log.info("Executor {}: {}", context.executorID(), line));
    }

    /** A driver that does not answer is Spark's to deal with; the next report has everything. */
    private void report() {
        Figures figures = ExecutorEngine.figures();
        Map<String, Number> values = new HashMap<>();
        Metric.ALL.forEach(metric -> values.put(metric.name(), metric.getter().apply(figures)));
        try {
            context.send(new ExecutorReport(context.executorID(), values));
        } catch (IOException | RuntimeException e) {
            log.debug("The driver got no report", e);
        }
    }

    /** Says how it ended: the last interval is seldom a whole one. */
    @Override
    public void shutdown() {
        timer.shutdownNow();
        report();
        logLine();
    }
}
