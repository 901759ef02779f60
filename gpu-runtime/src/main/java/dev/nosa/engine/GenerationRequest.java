package dev.nosa.engine;

import dev.nosa.sample.SamplingParams;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/**
 * A prompt to continue.
 *
 * @param id the caller's name for it; comes back in the result, need not be unique
 * @param prompt token ids, not empty; not copied, must not change
 * @param maxNewTokens at least 1
 * @param stopStrings generation ends before the first of these
 * @param stopTokens end tokens beside the model's own
 */
public record GenerationRequest(
        String id,
        int[] prompt,
        int maxNewTokens,
        SamplingParams sampling,
        List<String> stopStrings,
        Set<Integer> stopTokens) {
    public GenerationRequest {
        Objects.requireNonNull(prompt, "prompt");
        Objects.requireNonNull(sampling, "sampling");
        stopStrings = List.copyOf(stopStrings);
        stopTokens = Set.copyOf(stopTokens);
        if (maxNewTokens < 1) {
            throw new IllegalArgumentException("max-new-tokens = " + maxNewTokens + ": must be 1 or more");
        }
        if (stopStrings.contains("")) {
            throw new IllegalArgumentException("stop: an empty stop string would end every generation");
        }
    }
}
