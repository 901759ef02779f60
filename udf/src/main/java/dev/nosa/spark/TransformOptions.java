package dev.nosa.spark;

import dev.nosa.arrow.ResultSchema;
import dev.nosa.sample.SamplingParams;
import java.io.Serializable;
import java.util.List;
import org.apache.arrow.vector.types.pojo.Schema;

/**
 * What a transformation does with each row, as it travels to executors. Exactly one of {@code generation} and {@code
 * scoring} is set.
 *
 * @param prompts with {@code {column}} references
 * @param system system message, or null; without a chat template it stands before the prompt
 * @param textColumn the document's column: what a length policy cuts
 * @param idColumn the row's id
 * @param errorColumn where not null, why the row could not be read; null: there is no such column
 * @param passThrough input columns that are copied to the output
 * @param useChatTemplate whether to wrap the prompt if the checkpoint has a chat template
 */
record TransformOptions(
        EngineOptions engine,
        Prompts prompts,
        String system,
        String textColumn,
        String idColumn,
        String errorColumn,
        List<String> passThrough,
        boolean useChatTemplate,
        OnTooLong onTooLong,
        Generation generation,
        Scoring scoring)
        implements Serializable {

    /**
     * How to generate. {@code sampling}'s seed is the run's; a row's own is derived from it and the row's id.
     *
     * @param promptColumns whether the results of named prompts are columns of one row, and no rows of their own
     * @param dedupe whether equal prompts of a task are computed once
     */
    record Generation(
            int maxNewTokens,
            SamplingParams sampling,
            List<String> stop,
            List<Integer> stopTokens,
            boolean promptColumns,
            boolean dedupe)
            implements Serializable {

        Generation(int maxNewTokens, SamplingParams sampling, List<String> stop, List<Integer> stopTokens) {
            this(maxNewTokens, sampling, stop, stopTokens, false, false);
        }
    }

    /** What to score: the same texts for every row, or a column of arrays of texts. */
    record Scoring(List<String> continuations, String column) implements Serializable {}

    TransformOptions {
        passThrough = List.copyOf(passThrough);
        int maxContext = engine.maxContext();
        if (generation != null && maxContext > 0 && generation.maxNewTokens() >= maxContext) {
            throw new IllegalArgumentException("max-new-tokens = " + generation.maxNewTokens()
                    + ": must be below max-context = " + maxContext + ", which holds prompt and output");
        }
    }

    boolean generates() {
        return generation != null;
    }

    Schema resultSchema() {
        return generates() ? ResultSchema.GENERATION_ROWS : ResultSchema.SCORING_ROWS;
    }
}
