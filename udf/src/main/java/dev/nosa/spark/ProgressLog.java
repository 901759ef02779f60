package dev.nosa.spark;

import dev.nosa.spark.metrics.Figures;
import dev.nosa.spark.metrics.Metric;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** An executor's line in the log: totals, and speeds since the line before. One thread. */
final class ProgressLog {
    private static final double NANOS_PER_SECOND = 1e9;

    private Map<String, Double> last = Map.of();
    private long lastNanos;

    /** @param nanos when the executor started */
    ProgressLog(long nanos) {
        lastNanos = nanos;
    }

    /** Empty if nothing was done since the line before. */
    synchronized Optional<String> line(Figures figures, long nanos) {
        Map<String, Double> now = new HashMap<>();
        Metric.ALL.forEach(
                metric -> now.put(metric.name(), metric.getter().apply(figures).doubleValue()));
        if (now.equals(last) || last.isEmpty() && now.values().stream().allMatch(value -> value == 0)) {
            return Optional.empty();
        }
        double seconds = (nanos - lastNanos) / NANOS_PER_SECOND;
        String line = String.format(
                Locale.ROOT,
                "%.0f documents (%.0f errors), %.0f running, %.0f waiting, %s prompt and %s output tokens/s,"
                        + " %s ms a step, %s of the selected blocks missed, %s MB/s from the host",
                now.get("documents"),
                now.get("errors_input") + now.get("errors_too_long") + now.get("errors_refused"),
                now.get("running"),
                now.get("waiting"),
                ratio(grown(now, "tokens_prefilled"), seconds, "%.0f"),
                ratio(grown(now, "tokens_decoded"), seconds, "%.0f"),
                ratio(
                        1e3 * (grown(now, "prefill_seconds") + grown(now, "decode_seconds")),
                        grown(now, "steps"),
                        "%.1f"),
                ratio(100 * grown(now, "blocks_missed"), grown(now, "blocks_selected"), "%.1f %%"),
                ratio(grown(now, "link_bytes_in") / 1e6, seconds, "%.0f"));
        last = now;
        lastNanos = nanos;
        return Optional.of(line);
    }

    private double grown(Map<String, Double> now, String name) {
        return now.get(name) - last.getOrDefault(name, 0.0);
    }

    private static String ratio(double value, double by, String format) {
        return by > 0 ? String.format(Locale.ROOT, format, value / by) : "-";
    }
}
