package dev.nosa.engine;

import java.util.List;

/**
 * Prompts that begin alike, such as several questions about one document: the tokens that all of them begin with are
 * computed once. Each gets the result that it would get alone.
 *
 * @param requests at least one
 * @param headTokens tokens at the start of all these prompts with which those of other groups begin too, such as a system
 *     message; they stay computed while the memory is not needed otherwise. 0: none
 */
public record GenerationGroup(List<GenerationRequest> requests, int headTokens) {
    public GenerationGroup {
        requests = List.copyOf(requests);
        if (requests.isEmpty()) {
            throw new IllegalArgumentException("a group of requests is empty");
        }
        if (headTokens < 0) {
            throw new IllegalArgumentException("head tokens = " + headTokens + ": must be 0 or more");
        }
    }
}
