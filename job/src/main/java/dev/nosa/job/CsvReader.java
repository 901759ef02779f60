package dev.nosa.job;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat_ws;
import static org.apache.spark.sql.functions.from_csv;
import static org.apache.spark.sql.functions.length;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.replace;
import static org.apache.spark.sql.functions.when;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.DataFrameReader;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * CSV with a header, quotes doubled inside quotes, and line breaks inside quotes.
 *
 * <p>Spark shows the text of a record only where it cannot parse it, and takes a quote that is never closed, which swallows
 * the rest of the file, for a long value. So the file is cut into records under a schema of one column more than the
 * header has, which no right record fits; then each record is parsed by the header.
 */
final class CsvReader {
    private static final String SURPLUS = "__nosa_surplus";
    private static final String PARSED = "__nosa_parsed";
    private static final Map<String, String> OPTIONS =
            Map.of("escape", "\"", "columnNameOfCorruptRecord", MalformedRows.RECORD);

    private final SparkSession spark;
    private final InputPaths paths;

    CsvReader(SparkSession spark, InputPaths paths) {
        this.spark = spark;
        this.paths = paths;
    }

    Dataset<Row> open(boolean severalFiles) {
        StructType header = reader().csv(paths.pattern()).schema();
        if (severalFiles) {
            requireOneHeader(header);
        }
        StructType wider = header.add(SURPLUS, DataTypes.StringType).add(MalformedRows.RECORD, DataTypes.StringType);
        return parsed(header, reader().schema(wider).csv(paths.pattern()));
    }

    private DataFrameReader reader() {
        return spark.read().options(OPTIONS).option("header", true).option("multiLine", true);
    }

    /** Spark takes the columns of the first file for those of all, by position. */
    private void requireOneHeader(StructType header) {
        try {
            reader().schema(header)
                    .option("enforceSchema", false)
                    .option("columnPruning", false)
                    .csv(paths.pattern())
                    .write()
                    .format("noop")
                    .mode("overwrite")
                    .save();
        } catch (Exception e) { // Spark's are checked and not declared
            throw new UsageException(
                    "the CSV files must have the same header: "
                            + Failures.rootCause(e).replaceAll("\\s+", " "),
                    paths.option(),
                    e);
        }
    }

    private static Dataset<Row> parsed(StructType header, Dataset<Row> records) {
        String schema = header.add(MalformedRows.RECORD, DataTypes.StringType).toDDL();
        Column record = col(MalformedRows.RECORD);
        Dataset<Row> parsed = records.withColumn(PARSED, from_csv(record, lit(schema), OPTIONS));
        // A record of just one column too many is right by the wider schema.
        Column tooWide = when(record.isNull(), concat_ws(",", columns(header, SURPLUS)));
        Column otherColumns = coalesce(tooWide, col(PARSED).getField(MalformedRows.RECORD));
        Column openQuote = when(openQuote(record), record);

        List<Column> columns = new ArrayList<>();
        for (String name : header.fieldNames()) {
            columns.add(col(PARSED).getField(name).as(name));
        }
        columns.add(coalesce(openQuote, otherColumns).as(MalformedRows.RECORD));
        String reason = "malformed CSV row, ";
        return MalformedRows.marked(
                parsed.select(columns.toArray(Column[]::new)),
                when(openQuote(col(MalformedRows.RECORD)), lit(reason + "a quote is never closed"))
                        .otherwise(lit(reason + "the header has " + header.size() + " columns")));
    }

    /** Quotes come in pairs, and one without a partner matters if a line break came into the record by it. */
    private static Column openQuote(Column record) {
        Column quotes = length(record).minus(length(replace(record, lit("\""), lit(""))));
        return record.contains("\n").and(quotes.mod(2).equalTo(1));
    }

    private static Column[] columns(StructType header, String more) {
        List<String> names = new ArrayList<>(Arrays.asList(header.fieldNames()));
        names.add(more);
        return names.stream().map(name -> col(DocumentIds.quoted(name))).toArray(Column[]::new);
    }
}
