package dev.nosa.runner;

import dev.nosa.backend.KvTraffic;

/**
 * What one sequence got from a step.
 *
 * @param token the sampled token, or -1 where none was asked for
 * @param logProbs one for each token of a {@link TokenRequest.Score}, else empty
 * @param traffic blocks and bytes that this sequence's share of the step touched, over all layers and KV heads
 * @param error null, or why this sequence cannot go on (non-finite logits); its batch mates are not affected
 */
public record SequenceOutput(int token, float[] logProbs, KvTraffic traffic, String error) {
    public static final int NO_TOKEN = -1;
}
