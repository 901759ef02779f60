package dev.nosa.engine;

import dev.nosa.backend.KvTraffic;

/**
 * What one request used.
 *
 * @param promptTokens tokens of the prompt
 * @param sharedTokens of these, the ones that were computed for another request, whose usage has their time and traffic
 * @param outputTokens tokens generated, or scored
 * @param queuedMillis from submission to admission
 * @param prefillMillis wall time from admission to the prompt's last chunk
 * @param decodeMillis wall time from there to the end
 * @param traffic blocks and bytes between the KV tiers
 * @param finishedMillis when it ended, UTC, since 1970
 */
public record Usage(
        int promptTokens,
        int sharedTokens,
        int outputTokens,
        double queuedMillis,
        double prefillMillis,
        double decodeMillis,
        KvTraffic traffic,
        long finishedMillis) {}
