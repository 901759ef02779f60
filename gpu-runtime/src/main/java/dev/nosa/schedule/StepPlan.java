package dev.nosa.schedule;

import java.util.List;

/**
 * One step: every running decode, and chunks of prompts. Host blocks for all of it are taken already.
 *
 * @param admitted requests that left the waiting queue for this step, in order
 * @param shares who computes what: prompt chunks, then decodes, each in order of admission; at most one a running
 *     request
 */
public record StepPlan<R extends Schedulable>(List<R> admitted, List<Share<R>> shares) {

    /**
     * One sequence's share of a step.
     *
     * @param count tokens to compute, 1 for a decode
     * @param decode whether the prompt is computed already
     */
    public record Share<R extends Schedulable>(R request, Sequence sequence, int count, boolean decode) {}

    public boolean isEmpty() {
        return shares.isEmpty();
    }

    /** Tokens of all prefill chunks. */
    public int prefillTokens() {
        return shares.stream()
                .filter(share -> !share.decode())
                .mapToInt(Share::count)
                .sum();
    }

    public int decodes() {
        return (int) shares.stream().filter(Share::decode).count();
    }
}
