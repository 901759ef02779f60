package dev.nosa.spark;

import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.util.AccumulatorV2;

/** The newest report of every engine: each task adds its engine's at its end. Safe from any thread. */
final class EngineReports extends AccumulatorV2<EngineReport, List<EngineReport>> {
    private static final long serialVersionUID = 1L;

    private final Map<String, EngineReport> reports = Collections.synchronizedMap(new HashMap<>());

    @Override
    public boolean isZero() {
        return reports.isEmpty();
    }

    @Override
    public EngineReports copy() {
        EngineReports copy = new EngineReports();
        copy.merge(this);
        return copy;
    }

    @Override
    public void reset() {
        reports.clear();
    }

    @Override
    public void add(EngineReport report) {
        reports.merge(report.engine(), report, EngineReport::newer);
    }

    @Override
    public void merge(AccumulatorV2<EngineReport, List<EngineReport>> other) {
        other.value().forEach(this::add);
    }

    @Override
    public List<EngineReport> value() {
        synchronized (reports) {
            return List.copyOf(reports.values());
        }
    }
}
