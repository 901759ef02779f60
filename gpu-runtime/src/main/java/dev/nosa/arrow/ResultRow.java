package dev.nosa.arrow;

import dev.nosa.engine.ScoringResult;
import dev.nosa.engine.Usage;
import java.util.List;

/**
 * One document's row of the output. Anything but id and status may be null.
 *
 * @param id the document
 * @param generation generated text; null when scoring
 * @param scores one a continuation; null when generating
 * @param status {@code ok}, {@code truncated} (the prompt was) or {@code error}
 * @param error why, where the status is {@code error}
 * @param finishReason see {@link dev.nosa.engine.FinishReason#columnValue}
 * @param usage null for a row that never reached the engine
 */
public record ResultRow(
        String id,
        String generation,
        List<Scored> scores,
        String status,
        String error,
        String finishReason,
        Usage usage) {
    public static final String OK = "ok";
    public static final String TRUNCATED = "truncated";
    public static final String ERROR = "error";

    /** A continuation's text and its log-probabilities. */
    public record Scored(String continuation, ScoringResult.Score score) {}

    /** A row that failed before it reached the engine. */
    public static ResultRow failed(String id, String error) {
        return new ResultRow(id, null, null, ERROR, error, ERROR, null);
    }
}
