package dev.nosa.spark;

import dev.nosa.engine.EngineInfo;
import dev.nosa.engine.EngineStats;
import dev.nosa.engine.InferenceEngine;
import java.io.Serializable;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.time.Instant;
import org.apache.spark.SparkEnv;

/**
 * What an executor's engine is, and has done since its start.
 *
 * @param engine made up at its start: an executor that was replaced, or a later run, has another one
 * @param started UTC, ISO 8601
 * @param device the processor or GPU
 * @param deviceBytes memory of the GPU; 0 without one
 * @param deviceKvBytes of it (of the heap without one), those of slots and compressed keys
 * @param heapPeakBytes sum of the heap's parts at their fullest
 * @param idleSeconds between two steps, without a request that could run
 * @param linkBytes between the KV tiers, both ways
 * @param heads layers x KV heads x decode tokens
 * @param missedByLayer blocks that decode steps fetched
 */
public record EngineReport(
        String engine,
        String executor,
        String host,
        String started,
        String backend,
        String device,
        int maxBatch,
        int slots,
        long deviceBytes,
        long deviceKvBytes,
        long hostKvBytes,
        long hostKvPeakBytes,
        long heapBytes,
        long heapPeakBytes,
        long steps,
        long prefillTokens,
        long decodeTokens,
        double prefillSeconds,
        double decodeSeconds,
        double idleSeconds,
        long linkBytes,
        long heads,
        long[] missedByLayer)
        implements Serializable {

    /** The later one of two reports of one engine: its counts only grow. */
    public EngineReport newer(EngineReport other) {
        return other.steps > steps ? other : this;
    }

    static EngineReport of(String name, Instant started, InferenceEngine running) {
        SparkEnv env = SparkEnv.get();
        EngineInfo info = running.info();
        EngineStats stats = running.stats();
        return new EngineReport(
                name,
                env == null ? "" : env.executorId(),
                env == null ? "" : env.blockManager().blockManagerId().host(),
                started.toString(),
                info.device().backend(),
                info.device().name(),
                info.maxBatch(),
                stats.slots(),
                info.device().bytes(),
                info.deviceKvBytes(),
                stats.hostBlocksTotal() * info.hostBlockBytes(),
                stats.hostBlocksPeak() * info.hostBlockBytes(),
                Runtime.getRuntime().maxMemory(),
                heapPeak(),
                stats.steps(),
                stats.prefillTokens(),
                stats.decodeTokens(),
                stats.prefillSeconds(),
                stats.decodeSeconds(),
                stats.idleSeconds(),
                stats.traffic().bytesFetched() + stats.traffic().bytesWritten(),
                stats.decodeSlots(),
                stats.missedByLayer());
    }

    private static long heapPeak() {
        return ManagementFactory.getMemoryPoolMXBeans().stream()
                .filter(pool -> pool.getType() == MemoryType.HEAP)
                .map(MemoryPoolMXBean::getPeakUsage)
                .mapToLong(usage -> usage == null ? 0 : usage.getUsed())
                .sum();
    }
}
