package dev.nosa.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.length;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.regexp_replace;
import static org.apache.spark.sql.functions.substring;
import static org.apache.spark.sql.functions.when;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/** Rows that a parser could not take apart: kept, without values, but with an error that shows the record. */
final class MalformedRows {
    /** Null, or why a row could not be read. */
    static final String ERROR = "__nosa_error";
    /** Null, or the text of a record that could not be parsed. */
    static final String RECORD = "__nosa_record";
    /** Columns that no option may name. */
    static final List<String> COLUMNS = List.of(ERROR, RECORD);

    private static final int SHOWN_CHARACTERS = 120;

    private MalformedRows() {}

    /** Rows of which every one could be read. */
    static Dataset<Row> none(Dataset<Row> rows) {
        return rows.withColumn(ERROR, lit(null).cast("string"));
    }

    /**
     * A row with a {@link #RECORD} gets an error; what the parser made of its values is dropped, since it may be wrong.
     *
     * @param reason what is wrong, where there is a record
     */
    static Dataset<Row> marked(Dataset<Row> rows, Column reason) {
        Column wellFormed = col(RECORD).isNull();
        List<Column> columns = new ArrayList<>();
        for (String name : rows.columns()) {
            Column column = col(DocumentIds.quoted(name));
            columns.add(name.equals(RECORD) ? column : when(wellFormed, column).as(name));
        }
        columns.add(when(col(RECORD).isNotNull(), concat(reason, lit(": "), shown(col(RECORD))))
                .as(ERROR));
        return rows.select(columns.toArray(Column[]::new));
    }

    private static Column shown(Column record) {
        Column line = regexp_replace(substring(record, 1, SHOWN_CHARACTERS), "\\s+", " ");
        return when(length(record).gt(SHOWN_CHARACTERS), concat(line, lit("...")))
                .otherwise(line);
    }
}
