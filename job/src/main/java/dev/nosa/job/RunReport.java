package dev.nosa.job;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.desc;
import static org.apache.spark.sql.functions.first;
import static org.apache.spark.sql.functions.greatest;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.regexp_replace;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.when;

import dev.nosa.model.ModelConfig;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.function.ToLongFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * Totals of what was written, counted in the output itself: a task that Spark ran twice counts once.
 *
 * @param documents rows
 * @param truncated rows whose prompt was cut
 * @param errors rows with status error
 * @param sharedTokens of the prompt tokens, those that were computed for another row
 * @param decodeTokens output tokens but the first of each document, which the prefill gives
 * @param prefillSeconds summed over documents, of which several run at once
 * @param decodeSeconds likewise
 * @param seconds wall time of reading, running and writing
 * @param before waves that were there when the job began
 */
record RunReport(
        long documents,
        long truncated,
        long errors,
        long promptTokens,
        long sharedTokens,
        long outputTokens,
        long decodeTokens,
        double prefillSeconds,
        double decodeSeconds,
        long blocksSelected,
        long blocksMissed,
        double seconds,
        List<WaveRecord> before,
        List<ErrorClass> errorClasses) {

    private static final int SHOWN_CLASSES = 5;

    /** Errors that differ in numbers alone. */
    record ErrorClass(long times, String id, String error) {}

    static RunReport of(Dataset<Row> output, double seconds, List<WaveRecord> before) {
        Row total = output.agg(
                        count(lit(1)),
                        totalOf(ofStatus("truncated")),
                        totalOf(ofStatus("error")),
                        totalOf(col("prompt_tokens")),
                        totalOf(col("usage.shared_tokens")),
                        totalOf(col("output_tokens")),
                        totalOf(greatest(col("output_tokens").minus(1), lit(0))),
                        totalOf(col("usage.prefill_ms")),
                        totalOf(col("usage.decode_ms")),
                        totalOf(col("usage.blocks_selected")),
                        totalOf(col("usage.blocks_missed")))
                .first();
        return new RunReport(
                total.getLong(0),
                total.getLong(1),
                total.getLong(2),
                total.getLong(3),
                total.getLong(4),
                total.getLong(5),
                total.getLong(6),
                total.<Number>getAs(7).doubleValue() / 1000,
                total.<Number>getAs(8).doubleValue() / 1000,
                total.getLong(9),
                total.getLong(10),
                seconds,
                before,
                total.getLong(2) == 0 ? List.of() : errorClasses(output));
    }

    /** 1 where the status is {@code status}, else null. */
    private static Column ofStatus(String status) {
        return when(col("status").equalTo(status), 1);
    }

    /** The sum, 0 of nothing. */
    private static Column totalOf(Column values) {
        return coalesce(sum(values), lit(0));
    }

    /** An error without its numbers, and without the record that a parser could not read. */
    private static Column kind(Column error) {
        Column reason = regexp_replace(error, "(?s)^(malformed [^:]+):.*", "$1");
        return regexp_replace(coalesce(reason, lit("unknown")), "[0-9]+", "N");
    }

    private static List<ErrorClass> errorClasses(Dataset<Row> output) {
        return output
                .filter(col("status").equalTo("error"))
                .groupBy(kind(col("error")))
                .agg(
                        count(lit(1)).as("times"),
                        first(col("id")).as("id"),
                        first(col("error")).as("error"))
                .orderBy(desc("times"), col("error"))
                .limit(SHOWN_CLASSES)
                .collectAsList()
                .stream()
                .map(row -> new ErrorClass(row.getAs("times"), row.getAs("id"), row.getAs("error")))
                .toList();
    }

    /** Share of rows with status error; 0 of no rows. */
    double errorRate() {
        return documents == 0 ? 0 : (double) errors / documents;
    }

    void print(PrintWriter out, ModelConfig model, String path, String page) {
        line(
                out,
                "documents",
                "%d: %d ok, %d truncated, %d errors",
                documents,
                documents - truncated - errors,
                truncated,
                errors);
        String shared = sharedTokens == 0 ? "" : " (" + sharedTokens + " of them computed for another row)";
        line(out, "tokens", "%d prompt%s, %d output", promptTokens, shared, outputTokens);
        printSpeed(out);
        line(
                out,
                "time",
                "%s wall; summed over documents: prefill %.1f s, decode %.1f s",
                ProgressLine.duration(seconds),
                prefillSeconds,
                decodeSeconds);
        if (blocksSelected > 0) {
            double slots = (double) model.layers() * model.kvHeads() * decodeTokens;
            line(
                    out,
                    "KV blocks",
                    "%d selected in decode steps, %d missed (%.1f %%); turnover %.2f a head and step",
                    blocksSelected,
                    blocksMissed,
                    100.0 * blocksMissed / blocksSelected,
                    decodeTokens == 0 ? 0 : blocksMissed / slots);
        }
        for (ErrorClass error : errorClasses) {
            line(out, "error", "%d x like document '%s': %s", error.times, error.id, error.error);
        }
        line(out, "output", "%s", path);
        if (page != null) {
            line(out, "report", "%s", page);
        }
        out.flush();
    }

    /** Of what this job has computed. */
    private void printSpeed(PrintWriter out) {
        long there = before.stream().mapToLong(WaveRecord::documents).sum();
        if (there > 0) {
            line(out, "resumed", "%d documents in %d waves were there", there, before.size());
        }
        line(
                out,
                "speed",
                "%.0f tokens/s, of these %.1f output tokens/s",
                computedTokens() / seconds,
                newOutputTokens() / seconds);
    }

    /** Prompt and output tokens that this job has computed. */
    private long computedTokens() {
        return promptTokens - sharedTokens + outputTokens - tokens(WaveRecord::computedTokens);
    }

    /** Output tokens that this job has computed. */
    private long newOutputTokens() {
        return outputTokens - tokens(WaveRecord::outputTokens);
    }

    private long tokens(ToLongFunction<WaveRecord> counted) {
        return before.stream().mapToLong(counted).sum();
    }

    private static void line(PrintWriter out, String name, String format, Object... values) {
        out.printf("%-10s %s%n", name, String.format(Locale.ROOT, format, values));
    }
}
