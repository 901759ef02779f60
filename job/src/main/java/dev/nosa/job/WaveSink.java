package dev.nosa.job;

import java.io.IOException;
import java.util.Arrays;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

/** Waves as folders of files, {@code wave=NNNNN}, each written by one Spark job. */
class WaveSink {
    /** Column of the wave's number, which readers make of the folders' names. */
    static final String COLUMN = "wave";

    static final String PREFIX = COLUMN + "=";

    /** Of a wave, and of a run: all of it is there. */
    static final String SUCCESS = "_SUCCESS";

    private final FileSystem fs;
    private final Path root;
    private final String format;
    private final StructType schema;

    /**
     * Into a run's folder.
     *
     * @param format any of Spark's formats of files
     * @param schema of the results: some formats do not keep it
     */
    WaveSink(FileSystem fs, Path root, String format, StructType schema) {
        this.fs = fs;
        this.root = root;
        this.format = format;
        this.schema = schema;
    }

    static WaveSink of(FileSystem fs, Path root, String format, StructType schema) {
        return format.equals(DeltaSink.FORMAT)
                ? new DeltaSink(fs, root, schema)
                : new WaveSink(fs, root, format, schema);
    }

    Path root() {
        return root;
    }

    StructType schema() {
        return schema;
    }

    private Path folder(int wave) {
        return new Path(root, name(wave));
    }

    private static String name(int wave) {
        return PREFIX + String.format("%05d", wave);
    }

    /** Writes a wave that is not there yet. */
    void write(int wave, Dataset<Row> results) throws IOException {
        results.write()
                .format(format)
                .mode(SaveMode.ErrorIfExists)
                .save(folder(wave).toString());
    }

    /**
     * Numbers of the waves of which there is anything. A record is written when a wave is complete, and deleted before the wave
     * is written again; so one of these that has a record is there as a whole.
     */
    Set<Integer> begun(SparkSession spark) throws IOException {
        return Arrays.stream(fs.listStatus(root, path -> path.getName().matches(PREFIX + "\\d{1,9}")))
                .map(folder -> Integer.valueOf(folder.getPath().getName().substring(PREFIX.length())))
                .collect(Collectors.toSet());
    }

    /** Whether a wave was written to its end. */
    boolean isThere(SparkSession spark, int wave) throws IOException {
        return fs.exists(new Path(folder(wave), SUCCESS));
    }

    /** Removes what an unfinished write has left. */
    void discard(int wave) throws IOException {
        fs.delete(folder(wave), true);
    }

    /** All rows of a run. */
    Dataset<Row> read(SparkSession spark) {
        return load(spark, root);
    }

    /** The rows of one wave, without the column of its number. */
    Dataset<Row> read(SparkSession spark, int wave) {
        return load(spark, folder(wave));
    }

    private Dataset<Row> load(SparkSession spark, Path path) {
        return spark.read().format(format).schema(schema).load(InputPaths.literal(path));
    }

    /** Writes another version of a wave, which {@link #replace} puts in its place. */
    void writeReplacement(int wave, Dataset<Row> results) throws IOException {
        fs.delete(replacement(wave), true);
        results.write().format(format).save(replacement(wave).toString());
    }

    /** Goes on from wherever an earlier attempt ended. */
    void replace(int wave) throws IOException {
        if (fs.exists(replacement(wave))) {
            fs.delete(folder(wave), true);
            if (!fs.rename(replacement(wave), folder(wave))) {
                throw new IOException("cannot rename " + replacement(wave) + " to " + folder(wave));
            }
        }
    }

    private Path replacement(int wave) {
        return new Path(new Path(root, RunFolder.STATE), "replacing-" + name(wave));
    }
}
