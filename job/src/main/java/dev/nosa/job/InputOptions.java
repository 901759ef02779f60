package dev.nosa.job;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Option;

/** Where the documents are, and which columns matter. */
final class InputOptions {
    static final String DEFAULT_ID_COLUMN = "id";

    @Option(names = "--input", paramLabel = "PATH", description = "File, folder or glob of the documents (required)")
    String input;

    @Option(
            names = "--input-format",
            paramLabel = "FORMAT",
            description =
                    "parquet, jsonl, csv, text (one document a file), or any other data source that Spark finds, such"
                            + " as delta (default: by the file endings)")
    String format;

    @Option(
            names = "--text-column",
            paramLabel = "NAME",
            defaultValue = "text",
            description = "Column of the document's text (default: text)")
    String textColumn;

    @Option(
            names = "--id-column",
            paramLabel = "NAME",
            description =
                    "Column of the document's id (default: id, or where there is none the file name of a text file"
                            + " and a hash of any other row)")
    String idColumn;

    @Option(
            names = "--pass-through",
            paramLabel = "NAME",
            split = ",",
            description = "Input columns to copy to the output; repeat it or separate them by commas")
    List<String> passThrough = new ArrayList<>();

    @Option(
            names = "--partitions",
            paramLabel = "N",
            defaultValue = "0",
            description =
                    "Spark tasks of a wave, and files written (default: 0, one a core, less one an executor where there are several waves)")
    int partitions;

    @Option(
            names = "--limit",
            paramLabel = "N",
            defaultValue = "0",
            description = "Documents to take (default: 0, all)")
    int limit;

    InputPaths paths(SparkSession spark) {
        return InputPaths.find(input, "--input", spark.sparkContext().hadoopConfiguration());
    }

    /** The rows of {@code paths}, as many as {@code --limit} says. */
    Dataset<Row> open(SparkSession spark, InputPaths paths) {
        Dataset<Row> rows = new InputReader(spark, paths, format).open();
        // Kept, since another pass may take other rows.
        return limit > 0 ? rows.limit(limit).persist() : rows;
    }

    private static void requireFormat(String name) {
        if (InputFormat.parse(name).isEmpty()) {
            DataSources.require(name, "--input-format");
        }
    }

    void check() {
        if (input == null) {
            throw new UsageException("the documents' path is required", "--input");
        }
        if (partitions < 0) {
            throw new UsageException("partitions = " + partitions + ": must be 0 (automatic) or more", "--partitions");
        }
        if (limit < 0) {
            throw new UsageException("limit = " + limit + ": must be 0 (all) or more", "--limit");
        }
        if (format != null) {
            requireFormat(format);
        }
    }
}
