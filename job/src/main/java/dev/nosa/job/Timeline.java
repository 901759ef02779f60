package dev.nosa.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.floor;
import static org.apache.spark.sql.functions.greatest;
import static org.apache.spark.sql.functions.least;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.min;
import static org.apache.spark.sql.functions.sequence;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.when;

import java.time.Instant;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * A run in pieces of equal length, from the first prompt to the last answer, pauses between jobs included.
 *
 * @param drainSeconds at its end, while no new document began
 */
record Timeline(double bucketSeconds, double drainSeconds, List<Point> points) {
    private static final int MOST_POINTS = 120;
    private static final double MILLIS = 1000;

    /**
     * What ended within a piece, and how many results were being computed in the mean. Pieces in which nothing was computed have no
     * point.
     *
     * @param at begin, UTC, ISO 8601
     * @param promptTokens those that were computed
     */
    record Point(String at, long documents, long promptTokens, long outputTokens, double running) {}

    /** Of rows that ran; two passes. */
    static Timeline of(Dataset<Row> results) {
        Column end = col("usage.finished_ms");
        Column begin = end.minus(col("usage.prefill_ms")).minus(col("usage.decode_ms"));
        Dataset<Row> ran = results.filter(col("usage").isNotNull())
                .select(
                        floor(begin).as("begin"),
                        end.as("end"),
                        col("prompt_tokens").minus(col("usage.shared_tokens")).as("prompt"),
                        col("output_tokens").as("output"));
        Row range = ran.agg(min("begin"), max("end"), max("begin")).first();
        if (range.isNullAt(0)) {
            return new Timeline(0, 0, List.of());
        }
        long from = range.getLong(0);
        long to = range.getLong(1);
        long bucket = Math.max(1, (to - from) / MOST_POINTS + 1);
        return new Timeline(bucket / MILLIS, (to - range.getLong(2)) / MILLIS, points(ran, from, bucket));
    }

    private static List<Point> points(Dataset<Row> ran, long from, long bucket) {
        Column first = floor(col("begin").minus(from).divide(bucket));
        Column last = floor(col("end").minus(from).divide(bucket));
        Column start = col("bucket").multiply(bucket).plus(from);
        Column within = greatest(lit(0), least(col("end"), start.plus(bucket)).minus(greatest(col("begin"), start)));
        Column ended = col("bucket").equalTo(last);
        return ran
                .withColumn("bucket", explode(sequence(first, last)))
                .groupBy("bucket")
                .agg(
                        count(when(ended, 1)),
                        sum(when(ended, col("prompt")).otherwise(0)),
                        sum(when(ended, col("output")).otherwise(0)),
                        sum(within).divide(bucket).cast("double"))
                .orderBy("bucket")
                .collectAsList()
                .stream()
                .map(row -> new Point(
                        Instant.ofEpochMilli(from + row.getLong(0) * bucket).toString(),
                        row.getLong(1),
                        row.getLong(2),
                        row.getLong(3),
                        row.getDouble(4)))
                .toList();
    }
}
