package dev.nosa.spark.metrics;

import dev.nosa.engine.EngineStats;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * A figure of an executor.
 *
 * @param name in Spark's metric system, behind the plugin's
 * @param kind how it adds up over executors
 * @param description what it counts, and its unit
 * @param getter its value
 */
public record Metric(String name, Kind kind, String description, Function<Figures, Number> getter) {
    private static final double MILLIS = 1e3;

    /** How a metric adds up over executors. */
    public enum Kind {
        /** Grows; an executor that is gone still counts. */
        COUNT,
        /** Goes up and down; of the executors that are there. */
        LEVEL,
        /** Has no sum. */
        SINGLE
    }

    /** All of them, in the order of the documentation. */
    public static final List<Metric> ALL =
            Stream.of(work(), engine(), steps(), errors()).flatMap(List::stream).toList();

    private static List<Metric> work() {
        return List.of(
                new Metric(
                        "documents",
                        Kind.COUNT,
                        "rows done, errors among them",
                        now -> now.work().documents()),
                new Metric(
                        "tokens_in",
                        Kind.COUNT,
                        "prompt tokens of the rows done",
                        now -> now.work().promptTokens()),
                new Metric(
                        "tokens_out",
                        Kind.COUNT,
                        "output tokens of the rows done",
                        now -> now.work().outputTokens()),
                new Metric("batch_max", Kind.LEVEL, "sequences that can run at once", Figures::maxBatch));
    }

    private static List<Metric> engine() {
        return List.of(
                of("running", Kind.LEVEL, "sequences in the batch", EngineStats::running),
                of("waiting", Kind.LEVEL, "requests not yet admitted", EngineStats::waiting),
                of("slots", Kind.SINGLE, "blocks on the device per sequence, layer and KV head", EngineStats::slots),
                of(
                        "host_blocks_used",
                        Kind.LEVEL,
                        "blocks of the host tier that are held",
                        engine -> engine.hostBlocksTotal() - engine.hostBlocksFree()),
                of("host_blocks_total", Kind.LEVEL, "blocks of the host tier", EngineStats::hostBlocksTotal),
                of(
                        "blocks_selected",
                        Kind.COUNT,
                        "blocks attended in decode steps, over layers and KV heads",
                        engine -> engine.traffic().selected()),
                of(
                        "blocks_missed",
                        Kind.COUNT,
                        "of these, blocks that had to be fetched",
                        engine -> engine.traffic().missed()),
                of(
                        "link_bytes_in",
                        Kind.COUNT,
                        "bytes fetched from the host tier",
                        engine -> engine.traffic().bytesFetched()),
                of(
                        "link_bytes_out",
                        Kind.COUNT,
                        "bytes written to the host tier",
                        engine -> engine.traffic().bytesWritten()));
    }

    private static List<Metric> steps() {
        return List.of(
                of("tokens_prefilled", Kind.COUNT, "prompt tokens computed", EngineStats::prefillTokens),
                of("tokens_decoded", Kind.COUNT, "tokens generated", EngineStats::decodeTokens),
                of("steps", Kind.COUNT, "forward passes", EngineStats::steps),
                of("batch", Kind.LEVEL, "sequences of the last step", EngineStats::batch),
                of("step_ms", Kind.SINGLE, "milliseconds of the last step", engine -> engine.stepSeconds() * MILLIS),
                of("prefill_seconds", Kind.COUNT, "time of steps with prompts", EngineStats::prefillSeconds),
                of("decode_seconds", Kind.COUNT, "time of steps of decodes alone", EngineStats::decodeSeconds),
                of("idle_seconds", Kind.COUNT, "time between steps without a request", EngineStats::idleSeconds));
    }

    private static List<Metric> errors() {
        return Arrays.stream(ErrorClass.values())
                .map(kind -> new Metric(
                        kind.metric(),
                        Kind.COUNT,
                        kind.description(),
                        now -> now.work().errors(kind)))
                .toList();
    }

    private static Metric of(String name, Kind kind, String description, Function<EngineStats, Number> getter) {
        return new Metric(name, kind, description, now -> getter.apply(now.engine()));
    }
}
