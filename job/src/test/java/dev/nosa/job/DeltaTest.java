package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Delta tables as input and output. */
class DeltaTest extends JobFixture {
    @BeforeAll
    static void withDelta() {
        spark.stop();
        spark = session()
                .config("spark.databricks.delta.snapshotPartitions", 2) // Delta takes 50 tasks else
                .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
                .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
                .getOrCreate();
    }

    private static Dataset<Row> documents(int from, int to) {
        List<String> lines = IntStream.range(from, to)
                .mapToObj(i -> "{\"id\":\"d" + i + "\",\"text\":\"words of document " + i + "\"}")
                .toList();
        return spark.read().json(spark.createDataset(lines, Encoders.STRING()));
    }

    private static Dataset<Row> read(SparkSession session, Path table) {
        return session.read().format("delta").load(table.toString());
    }

    private static void succeed(Path input, Path output, String... more) {
        String[] all = Stream.concat(
                        Stream.of("--input-format=delta", "--output-format=delta", "--wave-docs=3"),
                        Arrays.stream(more))
                .toArray(String[]::new);
        CommandRun run = generate(input, output, all);
        assertThat(run.err()).doesNotContain("nosa: error");
        assertThat(run.code()).isZero();
    }

    @Test
    void aTableBecomesATableOneTransactionAWave() throws IOException {
        Path input = folder.resolve("documents");
        Path output = folder.resolve("answers");
        documents(0, 10).write().format("delta").save(input.toString());
        succeed(input, output);
        Dataset<Row> answers = read(spark, output);
        assertThat(answers.columns()).contains("id", "generation", "status", "wave");
        assertThat(answers.select("id").distinct().count()).isEqualTo(10);
        assertThat(answers.count()).isEqualTo(10);
        long waves = answers.select("wave").distinct().count();
        assertThat(waves).isEqualTo(4);
        try (var log = Files.list(output.resolve("_delta_log"))) {
            // The table itself, and a transaction a wave.
            assertThat(log.filter(file -> file.toString().matches(".*/\\d+\\.json")))
                    .hasSize((int) waves + 1);
        }
    }

    @Test
    void aTransactionThatIsThereIsNotRepeated() throws IOException {
        Path input = folder.resolve("again");
        Path output = folder.resolve("again-answers");
        documents(0, 10).write().format("delta").save(input.toString());
        succeed(input, output);
        List<Row> before = sorted(output);
        // Crashed behind the transaction of wave 1, but before its record: it is not computed again.
        Files.delete(output.resolve("_nosa/waves/00001.json"));
        succeed(input, output);
        assertThat(sorted(output)).isEqualTo(before);

        documents(10, 14).write().format("delta").mode("append").save(input.toString());
        assertThat(generate(input, output, "--input-format=delta", "--output-format=delta")
                        .usageError())
                .contains("the input has changed");
        succeed(input, output, "--incremental");
        assertThat(sorted(output)).hasSize(14).containsAll(before);
    }

    @Test
    void failedRowsAreReplacedInOneTransaction() throws IOException {
        Path input = folder.resolve("failing");
        Path output = folder.resolve("failing-answers");
        Dataset<Row> rows = documents(0, 5).union(spark.sql("SELECT 'long' AS id, repeat('word ', 800) AS text"));
        rows.write().format("delta").save(input.toString());
        succeed(input, output, "--max-error-rate=1");
        assertThat(read(spark, output).filter("status = 'error'").count()).isEqualTo(1);
        spark.sql("UPDATE delta.`" + input + "` SET text = 'short' WHERE id = 'long'");
        succeed(input, output, "--incremental", "--retry-failed");
        assertThat(read(spark, output).filter("status = 'error'").count()).isZero();
        assertThat(sorted(output)).hasSize(6);
    }

    private static List<Row> sorted(Path table) {
        return read(spark, table)
                .select("id", "generation", "status", "wave")
                .orderBy("id")
                .collectAsList();
    }

    @Test
    void anUnknownFormatIsNamedWithTheKnownOnes() throws IOException {
        Path input = write("a.jsonl", "{\"id\":\"a\",\"text\":\"x\"}\n");
        assertThat(generate(input, folder.resolve("x"), "--output-format=dleta").usageError())
                .contains("Spark finds no data source 'dleta', but ")
                .contains("delta")
                .endsWith("(--output-format)");
        assertThat(generate(input, folder.resolve("x"), "--input-format=iceberg")
                        .usageError())
                .contains("'iceberg'")
                .contains("--packages")
                .endsWith("(--input-format)");
    }

    @Test
    void otherFilesThanParquetAreWrittenAndReadBack() throws IOException {
        Path input = write("few.jsonl", "{\"id\":\"a\",\"text\":\"x\"}\n{\"id\":\"b\",\"text\":\"y\"}\n");
        Path output = folder.resolve("as-orc");
        CommandRun run = generate(input, output, "--output-format=orc");
        assertThat(run.err()).doesNotContain("nosa: error");
        assertThat(run.out()).contains("2: 2 ok, 0 truncated, 0 errors");
        assertThat(spark.read().orc(output.toString()).count()).isEqualTo(2);
        String ids = spark.read().orc(output.toString()).select("id").collectAsList().stream()
                .map(row -> row.getString(0))
                .sorted()
                .collect(Collectors.joining());
        assertThat(ids).isEqualTo("ab");
    }
}
