package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.backend.KvTraffic;
import dev.nosa.engine.EngineStats;
import dev.nosa.spark.metrics.ErrorClass;
import dev.nosa.spark.metrics.Figures;
import dev.nosa.spark.metrics.WorkCounters;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class ProgressLogTest {
    private final WorkCounters work = new WorkCounters();
    private final ProgressLog log = new ProgressLog(0);

    private Optional<String> line(int steps, long prompt, long output, KvTraffic traffic, int seconds) {
        EngineStats engine = new EngineStats(
                3,
                2,
                steps,
                prompt,
                output,
                steps * 0.03,
                steps * 0.01,
                1,
                traffic,
                1,
                1,
                3,
                0.1,
                16,
                0,
                0,
                new long[0]);
        return log.line(Figures.of(work, Optional.of(engine), 8), TimeUnit.SECONDS.toNanos(seconds));
    }

    @Test
    void anExecutorThatDoesNothingSaysNothing() {
        assertThat(log.line(Figures.of(work, Optional.empty(), 0), 1)).isEmpty();
    }

    @Test
    void speedsAreThoseSinceTheLineBefore() {
        work.add(ErrorClass.INPUT, 1);
        work.add(ErrorClass.CANCELLED, 9);
        assertThat(line(10, 1000, 50, new KvTraffic(200, 10, 4_000_000, 0), 10))
                .contains(
                        "0 documents (1 errors), 3 running, 2 waiting, 100 prompt and 5 output tokens/s, 40.0 ms a step,"
                                + " 5.0 % of the selected blocks missed, 0 MB/s from the host");
        assertThat(line(30, 3000, 450, new KvTraffic(600, 210, 404_000_000, 0), 20)
                        .orElseThrow())
                .contains("200 prompt and 40 output tokens/s")
                .contains("50.0 % of the selected blocks missed, 40 MB/s");
        assertThat(line(30, 3000, 450, new KvTraffic(600, 210, 404_000_000, 0), 30))
                .isEmpty();
    }
}
