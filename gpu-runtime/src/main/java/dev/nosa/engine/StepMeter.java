package dev.nosa.engine;

import dev.nosa.backend.KvTraffic;
import dev.nosa.cache.KvCacheManager;
import dev.nosa.model.ModelConfig;
import dev.nosa.runner.SequenceOutput;
import dev.nosa.schedule.StepPlan;
import java.util.List;

/** Totals over all steps. Written by the engine thread. */
final class StepMeter {
    private static final double NANOS_PER_SECOND = 1e9;

    private final long headsPerToken;
    private long steps;
    private long prefillTokens;
    private long decodeTokens;
    private long prefillNanos;
    private long decodeNanos;
    private long decodeSlots;
    private KvTraffic traffic = KvTraffic.NONE;
    private int lastBatch;
    private long lastNanos;
    private int hostBlocksPeak;
    private long waitedNanos;
    private long idleNanos;
    private long[] missedByLayer = new long[0];

    StepMeter(ModelConfig model) {
        headsPerToken = (long) model.layers() * model.kvHeads();
    }

    void count(StepPlan<ActiveRequest> plan, List<SequenceOutput> outputs, long nanos, long[] layerMisses) {
        steps++;
        missedByLayer = layerMisses;
        idleNanos += waitedNanos;
        waitedNanos = 0;
        lastBatch = plan.shares().size();
        lastNanos = nanos;
        int planPrefill = plan.prefillTokens();
        prefillTokens += planPrefill;
        decodeSlots += plan.decodes() * headsPerToken;
        if (planPrefill > 0) {
            prefillNanos += nanos;
        } else {
            decodeNanos += nanos;
        }
        for (SequenceOutput output : outputs) {
            decodeTokens += output.token() == SequenceOutput.NO_TOKEN ? 0 : 1;
            traffic = traffic.plus(output.traffic());
        }
    }

    /** Nothing could run for so long; it counts once something does again. */
    void waited(long nanos) {
        waitedNanos += steps > 0 ? nanos : 0;
    }

    EngineStats stats(int running, KvCacheManager cache) {
        hostBlocksPeak = Math.max(hostBlocksPeak, cache.hostBlocksTotal() - cache.hostBlocksFree());
        return new EngineStats(
                running,
                0,
                steps,
                prefillTokens,
                decodeTokens,
                prefillNanos / NANOS_PER_SECOND,
                decodeNanos / NANOS_PER_SECOND,
                decodeSlots,
                traffic,
                cache.hostBlocksFree(),
                cache.hostBlocksTotal(),
                lastBatch,
                lastNanos / NANOS_PER_SECOND,
                cache.layout().slots(),
                hostBlocksPeak,
                idleNanos / NANOS_PER_SECOND,
                missedByLayer);
    }
}
