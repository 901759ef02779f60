package dev.nosa.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat_ws;
import static org.apache.spark.sql.functions.expr;
import static org.apache.spark.sql.functions.udf;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.commons.io.FileUtils;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataTypes;
import picocli.CommandLine;

/** One step of {@link RunsBench}, in a JVM of its own; it prints a JSON object. */
final class RunsBenchStep {
    private static final String WORDS =
            "time people water words great little world still place years found house light" + " under never night";

    private final SparkSession spark;
    private final Path input;
    private final Path output;
    private final String waveDocs;
    private final int pending;
    private final int roundTrip;

    private RunsBenchStep(SparkSession spark, String... args) {
        this.spark = spark;
        input = Path.of(args[1]);
        output = Path.of(args[2]);
        waveDocs = args[3];
        pending = Integer.parseInt(args[4]);
        roundTrip = Integer.parseInt(args[5]);
    }

    public static void main(String[] args) throws IOException {
        SparkSession spark = SparkSession.builder()
                .master("local[*]")
                .config("spark.ui.enabled", false)
                .config("spark.ui.showConsoleProgress", false)
                .config("spark.driver.host", "localhost")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .config("spark.hadoop.fs.slow.impl", SlowFileSystem.class.getName())
                .getOrCreate();
        Map<String, Object> result;
        if (args[0].equals("input")) {
            writeInput(spark, args[1], Long.parseLong(args[2]), Integer.parseInt(args[3]), Integer.parseInt(args[4]));
            result = Map.of();
        } else {
            result = new RunsBenchStep(spark, args).run(args[0]);
        }
        System.out.println(new ObjectMapper().writeValueAsString(result));
        System.out.flush();
        Runtime.getRuntime().halt(0); // what a session takes to stop is not of interest
    }

    private static void writeInput(SparkSession spark, String path, long rows, int words, int files) {
        // From a third of the mean to nearly twice as many.
        String count = words + " div 3 + pmod(xxhash64(id, 1), " + words * 4 / 3 + ")";
        String word = "element_at(split('" + WORDS + "', ' '), cast(1 + pmod(xxhash64(id, i), 16) as int))";
        spark.range(0, rows, 1, files)
                .select(
                        expr("concat('document-', lpad(cast(id as string), 9, '0'))")
                                .as("id"),
                        concat_ws(" ", expr("transform(sequence(1, " + count + "), i -> " + word + ")"))
                                .as("text"))
                .write()
                .parquet(path);
    }

    private Map<String, Object> run(String step) throws IOException {
        return switch (step) {
            case "prepare" -> prepare();
            case "start" -> firstDocument();
            case "resume" -> {
                forgetLastWaves();
                // What a killed job leaves of its wave.
                Files.createDirectories(folder(waves() - 1).resolve("_temporary/0"));
                yield firstDocument();
            }
            case "waves" -> furtherWaves();
            default -> throw new IllegalArgumentException(step);
        };
    }

    private String slow(Path path) {
        return roundTrip == 0 ? path.toString() : SlowFileSystem.SCHEME + "://" + path.toAbsolutePath();
    }

    private long execute(StubJob job) {
        spark.sparkContext().hadoopConfiguration().setInt(SlowFileSystem.DELAY, roundTrip);
        long start = System.nanoTime();
        new CommandLine(job)
                .setErr(new PrintWriter(System.err, true))
                .setExecutionExceptionHandler((e, command, parsed) -> {
                    if (Failures.rootCause(e).contains(StubJob.ENOUGH)) {
                        return 0;
                    }
                    throw e;
                })
                .execute(
                        "--input=" + input,
                        "--output=" + slow(output),
                        "--model=sample-data/model",
                        "--prompt={text}",
                        "--wave-docs=" + waveDocs);
        return start;
    }

    private Map<String, Object> firstDocument() throws IOException {
        StubJob job = new StubJob(0);
        long start = execute(job);
        return Map.of(
                "first_s", seconds(start, job.firstDocument()),
                "folder_s", seconds(job.checked(), job.firstDocument()),
                "spread_s", seconds(job.ready(0), job.firstDocument()),
                "waves", Files.exists(output) ? waves() : 0);
    }

    private static double seconds(long from, long to) {
        if (to == 0) {
            throw new IllegalStateException("no document came");
        }
        return Math.round((to - from) / 1e6) / 1e3;
    }

    /** All that are pending, but that the first two count as a start. */
    private Map<String, Object> furtherWaves() throws IOException {
        forgetLastWaves();
        StubJob job = new StubJob(Integer.MAX_VALUE);
        execute(job);
        int measured = job.startedWaves() - 2;
        if (measured < 1 || job.startedWaves() != pending) {
            throw new IllegalStateException(job.startedWaves() + " waves were done");
        }
        return Map.of("wave_s", seconds(job.ready(1), job.ready(measured + 1)) / measured, "waves", waves());
    }

    /** An earlier measurement may have done them. */
    private void forgetLastWaves() throws IOException {
        int waves = waves();
        for (int wave = waves - pending; wave < waves; wave++) {
            FileUtils.deleteDirectory(folder(wave).toFile());
            Files.deleteIfExists(record(wave));
        }
        Files.deleteIfExists(output.resolve(WaveSink.SUCCESS));
    }

    /** Plans with the job itself, which then does a wave; all the others but the last few are filled in here. */
    private Map<String, Object> prepare() throws IOException {
        execute(new StubJob(2));
        Configuration hadoop = spark.sparkContext().hadoopConfiguration();
        JsonFiles json = new JsonFiles(FileSystem.getLocal(hadoop), hadoop);
        WaveRecord first = json.read(hadoopPath(record(0)), WaveRecord.class);
        List<Wave> waves = manifest().waves();
        Path filled = output.resolveSibling("filled");
        writeWaves(waves, filled);
        for (Wave wave : waves.subList(0, waves.size() - pending)) {
            Path folder = folder(wave.number());
            if (!Files.exists(record(wave.number()))) {
                FileUtils.deleteDirectory(folder.toFile());
                Files.move(filled.resolve(folder.getFileName()), folder);
                Files.createFile(folder.resolve(WaveSink.SUCCESS));
                WaveRecord record = new WaveRecord(
                        wave.number(),
                        WaveRecord.COMMITTED,
                        wave.documents(),
                        0,
                        0,
                        first.promptTokens(),
                        0,
                        first.outputTokens(),
                        first.started(),
                        first.seconds());
                json.write(hadoopPath(record(wave.number())), record);
            }
        }
        FileUtils.deleteDirectory(filled.toFile());
        return Map.of("waves", waves.size());
    }

    private void writeWaves(List<Wave> waves, Path filled) {
        List<Integer> ends = waves.stream().map(Wave::to).toList();
        UDF1<Integer, String> waveOf = bucket -> {
            int place = Collections.binarySearch(ends, bucket + 1);
            return String.format("%05d", place < 0 ? -place - 1 : place);
        };
        Dataset<Row> documents = DocumentIds.assign(
                MalformedRows.none(spark.read().parquet(input.toString())), "id", DocumentIds.Kind.GIVEN);
        StubJob.results(documents, "text", false)
                .withColumn(DocumentIds.COLUMN, col("id"))
                .withColumn(WaveSink.COLUMN, udf(waveOf, DataTypes.StringType).apply(Wave.bucket()))
                .drop(DocumentIds.COLUMN)
                .repartition(8, col(WaveSink.COLUMN))
                .write()
                .mode(SaveMode.Overwrite)
                .partitionBy(WaveSink.COLUMN)
                .parquet(filled.toString());
    }

    private Manifest manifest() throws IOException {
        return new ObjectMapper()
                .readValue(output.resolve("_nosa/manifest.json").toFile(), Manifest.class);
    }

    private int waves() throws IOException {
        return manifest().waves().size();
    }

    private Path folder(int wave) {
        return output.resolve(String.format("wave=%05d", wave));
    }

    private Path record(int wave) {
        return output.resolve(String.format("_nosa/waves/%05d.json", wave));
    }

    private static org.apache.hadoop.fs.Path hadoopPath(Path path) {
        return new org.apache.hadoop.fs.Path(path.toAbsolutePath().toUri());
    }
}
