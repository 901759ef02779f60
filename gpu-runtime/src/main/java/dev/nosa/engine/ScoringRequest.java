package dev.nosa.engine;

import java.util.List;
import java.util.Objects;

/**
 * Continuations to score after one prompt, which is prefilled once for all of them.
 *
 * @param id the caller's name for it
 * @param prompt token ids, not empty
 * @param continuations token ids of each continuation, none empty
 */
public record ScoringRequest(String id, int[] prompt, List<int[]> continuations) {
    public ScoringRequest {
        Objects.requireNonNull(prompt, "prompt");
        continuations = List.copyOf(continuations);
    }
}
