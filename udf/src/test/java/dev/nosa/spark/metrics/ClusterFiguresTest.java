package dev.nosa.spark.metrics;

import static org.assertj.core.api.Assertions.assertThat;

import com.codahale.metrics.MetricRegistry;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class ClusterFiguresTest {
    private final MetricRegistry registry = new MetricRegistry();
    private final AtomicLong now = new AtomicLong();
    private final ClusterFigures figures = new ClusterFigures(registry, 30, now::get);

    private static Map<String, Number> values(Number each) {
        Map<String, Number> values = new HashMap<>();
        Metric.ALL.forEach(metric -> values.put(metric.name(), each));
        return values;
    }

    private Object value(String name) {
        return registry.getGauges().get(name).getValue();
    }

    @Test
    void executorsHaveTheirOwnValuesAndASum() {
        figures.report("1", values(5L));
        figures.report("2", values(7L));
        figures.report("2", values(8L));
        assertThat(value("executor.1.documents")).isEqualTo(5L);
        assertThat(value("executor.2.documents")).isEqualTo(8L);
        assertThat(value("total.documents")).isEqualTo(13L);
        assertThat(value("total.running")).isEqualTo(13L);
        assertThat(value("executors")).isEqualTo(2);
        assertThat(registry.getNames()).doesNotContain("total.step_ms").contains("executor.1.step_ms");
    }

    @Test
    void ofAnExecutorThatIsGoneOnlyWhatItDidStillCounts() {
        figures.report("1", values(5L));
        now.set(20);
        figures.report("2", values(7L));
        now.set(31);
        assertThat(value("executors")).isEqualTo(1);
        assertThat(value("total.documents")).isEqualTo(12L);
        assertThat(value("total.running")).isEqualTo(7L);
    }

    @Test
    void secondsKeepTheirFractions() {
        figures.report("1", values(0.25));
        figures.report("2", values(0.5));
        assertThat(value("total.decode_seconds")).isEqualTo(0.75);
    }
}
