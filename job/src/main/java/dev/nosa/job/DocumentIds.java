package dev.nosa.job;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.concat_ws;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.row_number;
import static org.apache.spark.sql.functions.sha2;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.substring;
import static org.apache.spark.sql.functions.to_json;
import static org.apache.spark.sql.functions.when;

import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.expressions.Window;

/** Gives every row an id of its own, which depends on the row and never on how the rows are partitioned. */
final class DocumentIds {
    static final String COLUMN = "__nosa_id";

    private static final String MADE = "__nosa_made_id";
    private static final int HASH_CHARACTERS = 16;

    private DocumentIds() {}

    /** Where ids come from; found out once, since that reads all rows. */
    enum Kind {
        /** From the id column. */
        GIVEN,
        /** From the id column where it is not null, else a hash of the row. */
        MADE,
        /** As MADE, numbered where several rows are equal. */
        NUMBERED
    }

    /**
     * Reads all rows to see what their ids need.
     *
     * @param idColumn null: no row has an id
     * @throws UsageException if an id occurs twice
     */
    static Kind check(Dataset<Row> rows, String idColumn) {
        requireUnique(rows, given(idColumn));
        if (rows.filter(given(idColumn).isNull()).isEmpty()) {
            return Kind.GIVEN;
        }
        return duplicates(made(rows, idColumn), MADE).isEmpty() ? Kind.MADE : Kind.NUMBERED;
    }

    /** Adds {@link #COLUMN}: the id column's value where there is one, else a hash of the row. */
    static Dataset<Row> assign(Dataset<Row> rows, String idColumn, Kind kind) {
        if (kind == Kind.GIVEN) {
            return rows.withColumn(COLUMN, given(idColumn));
        }
        Dataset<Row> made = made(rows, idColumn);
        return (kind == Kind.NUMBERED ? numbered(made) : made)
                .withColumn(COLUMN, coalesce(col(COLUMN), col(MADE)))
                .drop(MADE);
    }

    private static Column given(String idColumn) {
        return idColumn == null
                ? lit(null).cast("string")
                : col(quoted(idColumn)).cast("string");
    }

    private static Dataset<Row> made(Dataset<Row> rows, String idColumn) {
        Column[] all =
                Arrays.stream(rows.columns()).map(name -> col(quoted(name))).toArray(Column[]::new);
        Column hash = concat(lit("row-"), substring(sha2(to_json(struct(all)), 256), 1, HASH_CHARACTERS));
        return rows.withColumn(COLUMN, given(idColumn))
                .withColumn(MADE, when(col(COLUMN).isNull(), hash));
    }

    private static void requireUnique(Dataset<Row> rows, Column given) {
        List<Row> duplicates = duplicates(rows.select(given.as(COLUMN)), COLUMN).takeAsList(3);
        if (!duplicates.isEmpty()) {
            throw new UsageException(
                    "ids occur more than once, such as "
                            + String.join(
                                    ", ",
                                    duplicates.stream()
                                            .map(row -> "'" + row.getString(0) + "' (" + row.getLong(1) + " times)")
                                            .toList()),
                    "--id-column");
        }
    }

    /** Equal rows are interchangeable, so any order among them gives the same ids. */
    private static Dataset<Row> numbered(Dataset<Row> rows) {
        String number = "__nosa_number";
        Column made =
                when(col(number).gt(1), concat_ws("-", col(MADE), col(number))).otherwise(col(MADE));
        return rows.withColumn(
                        number, row_number().over(Window.partitionBy(MADE).orderBy(MADE)))
                .withColumn(MADE, when(col(MADE).isNotNull(), made))
                .drop(number);
    }

    private static Dataset<Row> duplicates(Dataset<Row> rows, String column) {
        return rows.filter(col(column).isNotNull())
                .groupBy(col(column))
                .agg(count(lit(1)).as("times"))
                .filter(col("times").gt(1))
                .orderBy(col(column));
    }

    static String quoted(String column) {
        return "`" + column.replace("`", "``") + "`";
    }
}
