package dev.nosa.spark;

import dev.nosa.arrow.ResultRow;
import java.io.Serializable;
import java.util.List;
import java.util.Locale;
import org.apache.spark.SparkContext;
import org.apache.spark.util.LongAccumulator;

/**
 * Totals of a transformation while it runs, as Spark accumulators: read on the driver, added to by tasks. A task that
 * Spark runs twice counts twice.
 */
public final class RunProgress implements Serializable {
    /** Name of the accumulator of rows done, for listeners: the driver's own value waits for the end of a task. */
    public static final String DOCUMENTS = "nosa documents";
    /** Name of the accumulator of prompt tokens. */
    public static final String PROMPT_TOKENS = "nosa prompt tokens";
    /** Name of the accumulator of output tokens. */
    public static final String OUTPUT_TOKENS = "nosa output tokens";

    private static final long serialVersionUID = 1L;

    private final LongAccumulator documents;
    private final LongAccumulator errors;
    private final LongAccumulator truncated;
    private final LongAccumulator promptTokens;
    private final LongAccumulator outputTokens;
    private final LongAccumulator prefillMillis;
    private final LongAccumulator decodeMillis;
    private final LongAccumulator blocksSelected;
    private final LongAccumulator blocksMissed;
    private final EngineReports engines = new EngineReports();

    public RunProgress(SparkContext context) {
        documents = context.longAccumulator(DOCUMENTS);
        errors = context.longAccumulator("nosa errors");
        truncated = context.longAccumulator("nosa truncated");
        promptTokens = context.longAccumulator(PROMPT_TOKENS);
        outputTokens = context.longAccumulator(OUTPUT_TOKENS);
        prefillMillis = context.longAccumulator("nosa prefill ms");
        decodeMillis = context.longAccumulator("nosa decode ms");
        blocksSelected = context.longAccumulator("nosa blocks selected");
        blocksMissed = context.longAccumulator("nosa blocks missed");
        context.register(engines);
    }

    void add(ResultRow row) {
        documents.add(1);
        errors.add(row.status().equals(ResultRow.ERROR) ? 1 : 0);
        truncated.add(row.status().equals(ResultRow.TRUNCATED) ? 1 : 0);
        if (row.usage() != null) {
            promptTokens.add(row.usage().promptTokens() - row.usage().sharedTokens());
            outputTokens.add(row.usage().outputTokens());
            prefillMillis.add(Math.round(row.usage().prefillMillis()));
            decodeMillis.add(Math.round(row.usage().decodeMillis()));
            blocksSelected.add(row.usage().traffic().selected());
            blocksMissed.add(row.usage().traffic().missed());
        }
    }

    /** A task ends. */
    void add(EngineReport engine) {
        engines.add(engine);
    }

    /** What each engine that ran a task was when its last one ended. */
    public List<EngineReport> engines() {
        return engines.value();
    }

    public long documents() {
        return documents.value();
    }

    /** Rows with status error. */
    public long errors() {
        return errors.value();
    }

    /** Rows with status truncated. */
    public long truncated() {
        return truncated.value();
    }

    /** Those that were computed, each once however many rows share it. */
    public long promptTokens() {
        return promptTokens.value();
    }

    public long outputTokens() {
        return outputTokens.value();
    }

    /** Sum over documents, of which several run at once. */
    public long prefillMillis() {
        return prefillMillis.value();
    }

    /** Sum over documents, of which several run at once. */
    public long decodeMillis() {
        return decodeMillis.value();
    }

    public long blocksSelected() {
        return blocksSelected.value();
    }

    public long blocksMissed() {
        return blocksMissed.value();
    }

    @Override
    public String toString() {
        return String.format(
                Locale.ROOT,
                "%d documents (%d errors), %d prompt tokens, %d output tokens",
                documents(),
                errors(),
                promptTokens(),
                outputTokens());
    }
}
