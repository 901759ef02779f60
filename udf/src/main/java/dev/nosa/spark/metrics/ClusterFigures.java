package dev.nosa.spark.metrics;

import com.codahale.metrics.Gauge;
import com.codahale.metrics.MetricRegistry;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongSupplier;

/**
 * On the driver: the last report of every executor, and the sums over all, as metrics. Executors serve no web page of
 * their own, so this is where a scraper of the driver finds them. Safe from any thread.
 */
public final class ClusterFigures {
    private final Map<String, Report> reports = new ConcurrentHashMap<>();
    private final MetricRegistry registry;
    private final long staleNanos;
    private final LongSupplier clock;

    private record Report(Map<String, Number> values, long nanos) {}

    /**
     * @param staleNanos an executor that was silent for longer is gone
     * @param clock nanoseconds
     */
    public ClusterFigures(MetricRegistry registry, long staleNanos, LongSupplier clock) {
        this.registry = registry;
        this.staleNanos = staleNanos;
        this.clock = clock;
        register("executors", this::executors);
        for (Metric metric : Metric.ALL) {
            if (metric.kind() != Metric.Kind.SINGLE) {
                register(MetricRegistry.name("total", metric.name()), () -> total(metric));
            }
        }
    }

    /** Takes an executor's values, by the metrics' names. */
    public void report(String executor, Map<String, Number> values) {
        boolean first = reports.put(executor, new Report(Map.copyOf(values), clock.getAsLong())) == null;
        if (first) {
            for (Metric metric : Metric.ALL) {
                register(
                        MetricRegistry.name("executor", executor, metric.name()),
                        () -> reports.get(executor).values().get(metric.name()));
            }
        }
    }

    private void register(String name, Gauge<Number> gauge) {
        registry.register(name, gauge);
    }

    private int executors() {
        return fresh().size();
    }

    private Number total(Metric metric) {
        List<Report> counted = metric.kind() == Metric.Kind.COUNT ? List.copyOf(reports.values()) : fresh();
        double sum = 0;
        boolean whole = true;
        for (Report report : counted) {
            Number value = report.values().get(metric.name());
            whole &= !(value instanceof Double);
            sum += value.doubleValue();
        }
        return whole ? (Number) (long) sum : (Number) sum;
    }

    private List<Report> fresh() {
        long now = clock.getAsLong();
        return reports.values().stream()
                .filter(report -> now - report.nanos() <= staleNanos)
                .toList();
    }
}
