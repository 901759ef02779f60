package dev.nosa.engine;

/**
 * What became of a {@link GenerationRequest}; every request ends in one.
 *
 * @param text generated text, without the stop string; what was there when the request was cancelled or failed
 * @param tokens generated token ids, an end token not included
 * @param error null unless the reason is {@link FinishReason#ERROR}
 */
public record GenerationResult(
        String id, String text, int[] tokens, FinishReason finishReason, String error, Usage usage) {}
