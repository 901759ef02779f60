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
     * What was done within a piece: a result's tokens are spread evenly over its time. Pieces in which nothing was computed have
     * no point.
     *
     * @param at begin, UTC, ISO 8601
     * @param documents that ended
     * @param promptTokens those that were computed
     * @param running results that were being computed, in the mean
     */
    record Point(String at, long documents, double promptTokens, double outputTokens, double running) {}

    /** Of rows that ran; two passes. */
    static Timeline of(Dataset<Row> results) {
        Column end = col("usage.finished_ms");
        Column decode = floor(end.minus(col("usage.decode_ms")));
        Dataset<Row> ran = results.filter(col("usage").isNotNull())
                .select(
                        floor(decode.minus(col("usage.prefill_ms"))).as("begin"),
                        decode.as("decode"),
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
        return ran
                .withColumn("bucket", explode(sequence(first, last)))
                .withColumn("start", start)
                .groupBy("bucket")
                .agg(
                        count(when(col("bucket").equalTo(last), 1)),
                        sum(share("begin", "decode", bucket).multiply(col("prompt"))),
                        sum(share("decode", "end", bucket).multiply(col("output"))),
                        sum(within("begin", "end", bucket)).divide(bucket))
                .orderBy("bucket")
                .collectAsList()
                .stream()
                .map(row -> new Point(
                        Instant.ofEpochMilli(from + row.getLong(0) * bucket).toString(),
                        row.getLong(1),
                        row.getDouble(2),
                        row.getDouble(3),
                        row.getDouble(4)))
                .toList();
    }

    /** Milliseconds of [from, to) within a bucket. */
    private static Column within(String from, String to, long bucket) {
        Column until = least(col(to), col("start").plus(bucket));
        return greatest(lit(0), until.minus(greatest(col(from), col("start"))));
    }

    /** How much of [from, to) lies within a bucket; what takes no time lies where it ends. */
    private static Column share(String from, String to, long bucket) {
        Column ends = col(to).geq(col("start")).and(col(to).lt(col("start").plus(bucket)));
        return when(col(to).gt(col(from)), within(from, to, bucket).divide(col(to).minus(col(from))))
                .otherwise(when(ends, 1.0).otherwise(0.0));
    }
}
