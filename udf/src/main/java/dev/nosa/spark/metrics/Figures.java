package dev.nosa.spark.metrics;

import dev.nosa.backend.KvTraffic;
import dev.nosa.engine.EngineStats;
import java.util.Optional;

/**
 * What an executor's metrics are taken from.
 *
 * @param work of its tasks
 * @param engine of its engine; all 0 while there is none
 * @param maxBatch sequences that the engine runs at once at most
 */
public record Figures(WorkCounters work, EngineStats engine, int maxBatch) {
    private static final EngineStats NO_ENGINE =
            new EngineStats(0, 0, 0, 0, 0, 0, 0, 0, KvTraffic.NONE, 0, 0, 0, 0, 0, 0, 0, new long[0]);

    /** {@code engine} is empty while no engine runs. */
    public static Figures of(WorkCounters work, Optional<EngineStats> engine, int maxBatch) {
        return new Figures(work, engine.orElse(NO_ENGINE), maxBatch);
    }
}
