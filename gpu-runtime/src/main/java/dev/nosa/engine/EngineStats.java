package dev.nosa.engine;

import dev.nosa.backend.KvTraffic;

/**
 * A moment's totals of an engine, since its start unless said otherwise.
 *
 * @param running sequences now in the batch
 * @param waiting requests now not yet admitted
 * @param steps forward passes
 * @param prefillTokens prompt tokens computed
 * @param decodeTokens tokens generated
 * @param prefillSeconds time of steps that held prefill chunks
 * @param decodeSeconds time of steps that held decodes alone
 * @param decodeSlots layers x KV heads x decode tokens: the denominator of the turnover
 * @param traffic blocks and bytes between the KV tiers
 * @param hostBlocksFree free blocks of the host tier now
 * @param hostBlocksTotal all blocks of the host tier
 * @param batch sequences of the last step
 * @param stepSeconds time of the last step
 * @param slots blocks on the device per sequence, layer and KV head
 * @param hostBlocksPeak most blocks of the host tier that were held at once
 * @param idleSeconds between two steps, without a request that could run
 * @param missedByLayer blocks that decode steps fetched, over all KV heads: [layers]; not to be changed
 */
public record EngineStats(
        int running,
        int waiting,
        long steps,
        long prefillTokens,
        long decodeTokens,
        double prefillSeconds,
        double decodeSeconds,
        long decodeSlots,
        KvTraffic traffic,
        int hostBlocksFree,
        int hostBlocksTotal,
        int batch,
        double stepSeconds,
        int slots,
        int hostBlocksPeak,
        double idleSeconds,
        long[] missedByLayer) {

    /** Blocks replaced per KV head, layer and decode step. */
    public double turnover() {
        return decodeSlots == 0 ? 0 : (double) traffic.missed() / decodeSlots;
    }

    EngineStats withWaiting(int requests) {
        return new EngineStats(
                running,
                requests,
                steps,
                prefillTokens,
                decodeTokens,
                prefillSeconds,
                decodeSeconds,
                decodeSlots,
                traffic,
                hostBlocksFree,
                hostBlocksTotal,
                batch,
                stepSeconds,
                slots,
                hostBlocksPeak,
                idleSeconds,
                missedByLayer);
    }
}
