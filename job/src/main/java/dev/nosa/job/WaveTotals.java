package dev.nosa.job;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.when;

import java.io.InterruptedIOException;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Observation;
import org.apache.spark.sql.Row;

/** Counts a wave's results. */
final class WaveTotals {
    private final List<String> prefixes;

    /** {@code structs} are columns that hold a result each; where there is none, the row is one. */
    WaveTotals(List<String> structs) {
        prefixes = structs.isEmpty()
                ? List.of("")
                : structs.stream().map(name -> DocumentIds.quoted(name) + ".").toList();
    }

    /** Whether any result of a row has status error. */
    Column failed() {
        return prefixes.stream()
                .map(prefix -> coalesce(status(prefix, "error"), lit(false)))
                .reduce(Column::or)
                .orElseThrow();
    }

    /** Counts while {@code results} are written: once a task that is committed, whatever Spark runs twice. */
    Dataset<Row> observed(Dataset<Row> results, Observation totals) {
        Column[] columns = columns();
        Column[] others = new Column[columns.length - 1];
        System.arraycopy(columns, 1, others, 0, others.length);
        return results.observe(totals, columns[0], others);
    }

    /** The record of a wave that was observed as it was written. */
    WaveRecord record(int wave, Instant started, Observation totals) throws InterruptedIOException {
        try {
            return record(wave, started, totals.getAsJava());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while wave " + wave + " was counted");
        }
    }

    /** The record of a wave that is there already. */
    WaveRecord read(int wave, Dataset<Row> results) {
        Column[] columns = columns();
        Dataset<Row> total = results.select(columns);
        Row row = total.first();
        Map<String, Object> values = new HashMap<>();
        for (String name : total.columns()) {
            values.put(name, row.getAs(name));
        }
        return record(wave, Instant.now(), values);
    }

    private static WaveRecord record(int wave, Instant started, Map<String, Object> values) {
        return new WaveRecord(
                wave,
                WaveRecord.COMMITTED,
                (Long) values.get("documents"),
                (Long) values.get("truncated"),
                (Long) values.get("errors"),
                (Long) values.get("prompt"),
                (Long) values.get("shared"),
                (Long) values.get("output"),
                started.toString(),
                Duration.between(started, Instant.now()).toMillis() / 1e3);
    }

    private Column[] columns() {
        return new Column[] {
            count(lit(1)).as("documents"),
            total(prefix -> when(status(prefix, "truncated"), 1)).as("truncated"),
            total(prefix -> when(status(prefix, "error"), 1)).as("errors"),
            total(prefix -> col(prefix + "prompt_tokens")).as("prompt"),
            total(prefix -> col(prefix + "usage.shared_tokens")).as("shared"),
            total(prefix -> col(prefix + "output_tokens")).as("output")
        };
    }

    private Column total(Function<String, Column> values) {
        return prefixes.stream()
                .map(prefix -> coalesce(sum(values.apply(prefix)), lit(0L)))
                .reduce(Column::plus)
                .orElseThrow();
    }

    private static Column status(String prefix, String status) {
        return col(prefix + "status").equalTo(status);
    }
}
