package dev.nosa.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.substring;
import static org.apache.spark.sql.functions.udf;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** Opens the documents, whatever they are stored as. */
final class InputReader {
    /** Null, or why a row could not be read. */
    static final String ERROR_COLUMN = "__nosa_error";

    private static final String CORRUPT_RECORD = "_corrupt_record";
    private static final StructType DECODED =
            new StructType().add("text", DataTypes.StringType).add("error", DataTypes.StringType);

    private final SparkSession spark;
    private final InputOptions options;
    private final InputPaths paths;

    InputReader(SparkSession spark, InputOptions options, InputPaths paths) {
        this.spark = spark;
        this.options = options;
        this.paths = paths;
    }

    /** The rows with all their columns and {@link #ERROR_COLUMN}; nothing is read but schemas. */
    Dataset<Row> open() {
        InputFormat format = format(paths.fileNames(hadoop()));
        Dataset<Row> rows = switch (format) {
            case PARQUET -> readable(spark.read().parquet(paths.pattern()));
            case JSONL -> json(spark.read().json(paths.pattern()));
            case CSV ->
                readable(spark.read()
                        .option("header", true)
                        .option("multiLine", true)
                        .option("escape", "\"")
                        .csv(paths.pattern()));
            case TEXT -> text();
        };
        return options.limit > 0 ? rows.limit(options.limit) : rows;
    }

    /** Fails on a column that is not there, with the nearest one that is. */
    static void requireColumns(Dataset<Row> rows, List<String> wanted, String option) {
        Set<String> known = new TreeSet<>(Arrays.asList(rows.columns()));
        known.remove(ERROR_COLUMN);
        for (String column : wanted) {
            if (!known.contains(column)) {
                throw new UsageException(
                        "the input has no column '" + column + "'" + NearestName.hint(column, known) + "; its columns: "
                                + String.join(", ", known),
                        option);
            }
        }
    }

    private InputFormat format(List<String> fileNames) {
        if (fileNames.isEmpty()) {
            throw new UsageException("no files in " + options.input, "--input");
        }
        if (options.format != null) {
            return InputFormat.parse(options.format);
        }
        Set<InputFormat> formats = new TreeSet<>();
        for (String name : fileNames) {
            Optional<InputFormat> format = InputFormat.ofFile(name);
            if (format.isEmpty()) {
                throw new UsageException(
                        "the ending of " + name + " names no known format; say parquet, jsonl, csv or text",
                        "--input-format");
            }
            formats.add(format.get());
        }
        if (formats.size() > 1) {
            throw new UsageException(
                    options.input + " holds files of several formats: "
                            + formats.stream().map(InputFormat::optionValue).toList(),
                    "--input-format");
        }
        return formats.iterator().next();
    }

    private static Dataset<Row> readable(Dataset<Row> rows) {
        return rows.withColumn(ERROR_COLUMN, lit(null).cast("string"));
    }

    private static Dataset<Row> json(Dataset<Row> rows) {
        if (!Arrays.asList(rows.columns()).contains(CORRUPT_RECORD)) {
            return readable(rows);
        }
        return rows.withColumn(
                ERROR_COLUMN,
                org.apache.spark.sql.functions.when(col(CORRUPT_RECORD).isNotNull(), lit("malformed JSON line")));
    }

    private Dataset<Row> text() {
        // Resolved like Spark's own listing, so that it is a prefix of every file's path.
        String root = paths.root().toString();
        UDF1<byte[], Row> decode = bytes -> {
            Utf8 decoded = Utf8.decode(bytes);
            return RowFactory.create(decoded.text(), decoded.error());
        };
        return spark.read()
                .format("binaryFile")
                .option("recursiveFileLookup", true)
                .load(paths.pattern())
                .withColumn("decoded", udf(decode, DECODED).apply(col("content")))
                .select(
                        substring(col("path"), root.length() + (root.endsWith("/") ? 1 : 2), Integer.MAX_VALUE)
                                .as(InputOptions.DEFAULT_ID_COLUMN),
                        col("path"),
                        col("decoded.text").as("text"),
                        col("decoded.error").as(ERROR_COLUMN));
    }

    private Configuration hadoop() {
        return spark.sparkContext().hadoopConfiguration();
    }
}
