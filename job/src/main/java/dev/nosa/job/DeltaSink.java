package dev.nosa.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

/** Waves as transactions on a Delta table, partitioned by their number. A transaction that is there already has no effect. */
final class DeltaSink extends WaveSink {
    static final String FORMAT = "delta";

    private final FileSystem fs;
    private boolean created;

    DeltaSink(FileSystem fs, Path root, StructType schema) {
        super(fs, root, FORMAT, schema);
        this.fs = fs;
    }

    @Override
    void write(int wave, Dataset<Row> results) throws IOException {
        create(results.sparkSession());
        append(results.withColumn(COLUMN, lit(wave)), "nosa wave " + wave);
    }

    /** Two first transactions at once would both make the table. */
    private synchronized void create(SparkSession spark) throws IOException {
        if (!created && !isTable()) {
            append(spark.createDataFrame(List.<Row>of(), schema()).withColumn(COLUMN, lit(0)), "nosa table");
        }
        created = true;
    }

    private void append(Dataset<Row> rows, String transaction) {
        rows.write()
                .format(FORMAT)
                .mode(SaveMode.Append)
                .partitionBy(COLUMN)
                .option("txnAppId", transaction)
                .option("txnVersion", 0)
                .save(root().toString());
    }

    private boolean isTable() throws IOException {
        return fs.exists(new Path(root(), "_delta_log"));
    }

    @Override
    Set<Integer> begun(SparkSession spark) throws IOException {
        if (!isTable()) {
            return Set.of();
        }
        return read(spark).select(COLUMN).distinct().collectAsList().stream()
                .map(row -> row.getInt(0))
                .collect(Collectors.toSet());
    }

    @Override
    boolean isThere(SparkSession spark, int wave) throws IOException {
        return isTable() && !read(spark, wave).isEmpty();
    }

    @Override
    void discard(int wave) {
        // What an unfinished transaction has written belongs to no version of the table.
    }

    @Override
    Dataset<Row> read(SparkSession spark) {
        return spark.read().format(FORMAT).load(root().toString());
    }

    @Override
    Dataset<Row> read(SparkSession spark, int wave) {
        return read(spark).filter(col(COLUMN).equalTo(wave)).drop(COLUMN);
    }

    @Override
    void writeReplacement(int wave, Dataset<Row> results) {
        results.withColumn(COLUMN, lit(wave))
                .write()
                .format(FORMAT)
                .mode(SaveMode.Overwrite)
                .option("replaceWhere", COLUMN + " = " + wave)
                .save(root().toString());
    }

    @Override
    void replace(int wave) {
        // The transaction has done it.
    }
}
