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
import org.apache.hadoop.fs.FileStatus;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** Opens the documents, whatever they are stored as. */
final class InputReader {
    private static final StructType DECODED =
            new StructType().add("text", DataTypes.StringType).add("error", DataTypes.StringType);

    private final SparkSession spark;
    private final InputPaths paths;
    private final String format;

    /** {@code format} is null where the file endings say it. */
    InputReader(SparkSession spark, InputPaths paths, String format) {
        this.spark = spark;
        this.paths = paths;
        this.format = format;
    }

    /** The rows with all their columns and {@link MalformedRows#ERROR}; nothing is read but schemas. */
    Dataset<Row> open() {
        List<FileStatus> files = paths.files(spark.sparkContext().hadoopConfiguration());
        try {
            if (format != null && InputFormat.parse(format).isEmpty()) {
                return MalformedRows.none(spark.read().format(format).load(paths.pattern()));
            }
            return switch (format(files)) {
                case PARQUET -> MalformedRows.none(spark.read().parquet(paths.pattern()));
                case JSONL -> json();
                case CSV -> new CsvReader(spark, paths).open(files.size() > 1);
                case TEXT -> text(files);
            };
        } catch (UsageException e) {
            throw e;
        } catch (Exception e) { // Spark's are checked and not declared
            throw new UsageException("cannot read " + paths.given() + ": " + Failures.rootCause(e), paths.option(), e);
        }
    }

    /** Fails on a column that is not there, with the nearest one that is. */
    static void requireColumns(Dataset<Row> rows, List<String> wanted, String option) {
        requireColumns(rows, wanted, option, "");
    }

    /** {@code who} wants them, as the message's beginning. */
    static void requireColumns(Dataset<Row> rows, List<String> wanted, String option, String who) {
        Set<String> known = new TreeSet<>(Arrays.asList(rows.columns()));
        known.removeAll(MalformedRows.COLUMNS);
        for (String column : wanted) {
            if (!known.contains(column)) {
                throw new UsageException(
                        who + "the input has no column '" + column + "'" + NearestName.hint(column, known)
                                + "; its columns: " + String.join(", ", known),
                        option);
            }
        }
    }

    private InputFormat format(List<FileStatus> files) {
        if (files.isEmpty()) {
            throw new UsageException("no files in " + paths.given(), paths.option());
        }
        if (format != null) {
            return InputFormat.parse(format).orElseThrow();
        }
        Set<InputFormat> formats = new TreeSet<>();
        for (FileStatus file : files) {
            String name = file.getPath().getName();
            Optional<InputFormat> ofFile = InputFormat.ofFile(name);
            if (ofFile.isEmpty()) {
                throw new UsageException(
                        "the ending of " + name + " names no known format; say parquet, jsonl, csv or text",
                        formatOption());
            }
            formats.add(ofFile.get());
        }
        if (formats.size() > 1) {
            throw new UsageException(
                    paths.given() + " holds files of several formats: "
                            + formats.stream().map(InputFormat::optionValue).toList(),
                    formatOption());
        }
        return formats.iterator().next();
    }

    /** What would say the format: only the input has an option for it. */
    private String formatOption() {
        return paths.option().equals("--input") ? "--input-format" : paths.option();
    }

    private Dataset<Row> json() {
        Dataset<Row> rows = spark.read()
                .option("columnNameOfCorruptRecord", MalformedRows.RECORD)
                .json(paths.pattern());
        boolean malformed = Arrays.asList(rows.columns()).contains(MalformedRows.RECORD);
        return malformed ? MalformedRows.marked(rows, lit("malformed JSON line")) : MalformedRows.none(rows);
    }

    private Dataset<Row> text(List<FileStatus> files) {
        UDF1<byte[], Row> decode = bytes -> {
            Utf8 decoded = Utf8.decode(bytes);
            return RowFactory.create(decoded.text(), decoded.error());
        };
        Dataset<Row> contents = spark.read()
                .format("binaryFile")
                .option("recursiveFileLookup", true)
                .load(paths.pattern())
                .select(col("path"), udf(decode, DECODED).apply(col("content")).as("decoded"))
                .select(col("path"), col("decoded.text"), col("decoded.error"));
        // A prefix of every file's path as Spark lists it.
        String root = paths.root().toString();
        return contents.union(emptyFiles(files))
                .select(
                        substring(col("path"), root.length() + (root.endsWith("/") ? 1 : 2), Integer.MAX_VALUE)
                                .as(InputOptions.DEFAULT_ID_COLUMN),
                        col("path"),
                        col("text"),
                        col("error").as(MalformedRows.ERROR));
    }

    /** Spark's file sources leave files without a byte out. */
    private Dataset<Row> emptyFiles(List<FileStatus> files) {
        List<Row> rows = files.stream()
                .filter(file -> file.getLen() == 0)
                .map(file -> RowFactory.create(file.getPath().toString(), "", null))
                .toList();
        StructType schema = new StructType().add("path", DataTypes.StringType);
        return spark.createDataFrame(
                rows, schema.add("text", DataTypes.StringType).add("error", DataTypes.StringType));
    }
}
