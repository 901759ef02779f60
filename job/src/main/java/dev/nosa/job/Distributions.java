package dev.nosa.job;

import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.avg;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.floor;
import static org.apache.spark.sql.functions.least;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.min;
import static org.apache.spark.sql.functions.percentile_approx;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.when;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/** Distributions of what rows took: tokens and times. */
final class Distributions {
    private static final int ACCURACY = 10_000;

    private Distributions() {}

    private record Figure(String name, String unit, Column value) {}

    private static List<Figure> figures() {
        Column prefill = col("usage.prefill_ms").divide(1000);
        Column decode = col("usage.decode_ms").divide(1000);
        Column queued = col("usage.queued_ms").divide(1000);
        return List.of(
                new Figure("prompt_tokens", "tokens", col("prompt_tokens").cast("double")),
                new Figure("output_tokens", "tokens", col("output_tokens").cast("double")),
                new Figure("queued", "s", queued),
                new Figure("prefill", "s", prefill),
                new Figure("decode", "s", decode),
                new Figure("total", "s", queued.plus(prefill).plus(decode)));
    }

    /** Of rows that ran; two passes. */
    static List<Distribution> of(Dataset<Row> results) {
        Dataset<Row> ran = results.filter(col("usage").isNotNull());
        List<Figure> figures = figures();
        List<Column> columns = new ArrayList<>();
        for (Figure figure : figures) {
            Column percentiles = percentile_approx(figure.value, array(lit(0.5), lit(0.9), lit(0.99)), lit(ACCURACY));
            columns.add(
                    struct(count(figure.value), min(figure.value), max(figure.value), avg(figure.value), percentiles));
        }
        Row first = ran.select(columns.toArray(Column[]::new)).first();
        List<Distribution> distributions = new ArrayList<>();
        List<Column> binned = new ArrayList<>();
        for (int i = 0; i < figures.size() && first.getStruct(0).getLong(0) > 0; i++) {
            Distribution spread = spread(figures.get(i), first.getStruct(i));
            distributions.add(spread);
            binned.add(struct(
                    lit(i).as("figure"), bin(spread, figures.get(i).value).as("bin")));
        }
        return distributions.isEmpty() ? List.of() : withBins(distributions, ran, binned);
    }

    private static Distribution spread(Figure figure, Row row) {
        List<Double> percentiles = row.getList(4);
        return new Distribution(
                figure.name,
                figure.unit,
                row.getLong(0),
                row.getDouble(1),
                percentiles.get(0),
                percentiles.get(1),
                percentiles.get(2),
                row.getDouble(2),
                row.getDouble(3),
                List.of());
    }

    /** {@link Distribution#BINS} where it is behind p99. */
    private static Column bin(Distribution spread, Column value) {
        Column bin = spread.width() == 0
                ? lit(0)
                : least(floor(value.minus(spread.min()).divide(spread.width())), lit(Distribution.BINS - 1));
        return when(value.gt(spread.p99()), Distribution.BINS).otherwise(bin).cast("int");
    }

    private static List<Distribution> withBins(
            List<Distribution> distributions, Dataset<Row> ran, List<Column> binned) {
        long[][] rows = new long[distributions.size()][Distribution.BINS + 1];
        ran.select(explode(array(binned.toArray(Column[]::new))).as("at"))
                .groupBy(col("at.figure"), col("at.bin"))
                .agg(count(lit(1)))
                .collectAsList()
                .forEach(row -> rows[row.getInt(0)][row.getInt(1)] = row.getLong(2));
        List<Distribution> all = new ArrayList<>();
        for (int i = 0; i < rows.length; i++) {
            all.add(distributions.get(i).withBins(rows[i]));
        }
        return all;
    }
}
