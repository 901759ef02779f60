package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.engine.EngineConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.spark.api.java.function.VoidFunction2;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.Trigger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A folder of JSON lines as a stream. The engine repeats its prompts. */
class StreamingTest {
    @TempDir
    Path dir;

    private FakeEngine engine;

    @BeforeEach
    void start() throws Exception {
        ExecutorEngine.close();
        engine = new FakeEngine(1000, true);
        ExecutorEngine.get(
                EngineOptions.of(EngineConfig.builder(Path.of("model")).build()),
                config -> engine.hosted(),
                () -> false);
        Files.createDirectories(dir.resolve("in"));
    }

    @AfterEach
    void forget() {
        ExecutorEngine.close();
    }

    private void add(int from, int to) throws IOException {
        String lines = IntStream.range(from, to)
                .mapToObj(i -> "{\"id\": \"d" + i + "\", \"text\": \"text " + i + "\", \"rank\": " + i + "}\n")
                .collect(Collectors.joining());
        Files.writeString(dir.resolve("in/part-" + from + ".json"), lines);
    }

    /** Each batch has a folder named by its number, so that one that is run again replaces what it wrote. */
    private void runOverWhatIsThere() throws Exception {
        NosaGenerate generate = NosaGenerate.builder("model")
                .maxNewTokens(10)
                .passThrough("rank")
                .build();
        VoidFunction2<Dataset<Row>, Long> batch = (rows, number) -> generate.transform(rows)
                .write()
                .mode("overwrite")
                .parquet(dir.resolve("out/batch=" + number).toString());
        LocalSpark.session()
                .readStream()
                .schema(LocalSpark.DOCUMENTS)
                .option("maxFilesPerTrigger", 1)
                .json(dir.resolve("in").toString())
                .writeStream()
                .option("checkpointLocation", dir.resolve("checkpoint").toString())
                .trigger(Trigger.AvailableNow())
                .foreachBatch(batch)
                .start()
                .awaitTermination();
    }

    @Test
    void everyRowIsGeneratedOnceHoweverOftenTheStreamIsRun() throws Exception {
        add(0, 10);
        add(10, 25);
        runOverWhatIsThere();
        runOverWhatIsThere();
        add(25, 31);
        runOverWhatIsThere();

        Dataset<Row> output =
                LocalSpark.session().read().parquet(dir.resolve("out").toString());
        assertThat(LocalSpark.byId(output)).hasSize(31).allSatisfy((id, row) -> {
            assertThat(row.<String>getAs("generation")).isEqualTo("text " + row.<Integer>getAs("rank"));
            assertThat(row.<String>getAs("status")).isEqualTo("ok");
        });
        assertThat(output.select("batch").distinct().count()).isEqualTo(3);
        assertThat(engine.requests()).hasSize(31);
    }

    @Test
    void theFunctionsWorkInAStreamsOwnQuery() throws Exception {
        SparkSession spark = ExtendedSpark.session();
        spark.conf().set("spark.nosa.model", "model");
        try {
            add(0, 10);
            spark.readStream()
                    .schema(LocalSpark.DOCUMENTS)
                    .json(dir.resolve("in").toString())
                    .selectExpr("id", "nosa_generate(text).generation AS generation")
                    .writeStream()
                    .format("parquet")
                    .option("checkpointLocation", dir.resolve("checkpoint").toString())
                    .trigger(Trigger.AvailableNow())
                    .start(dir.resolve("out").toString())
                    .awaitTermination();

            assertThat(spark.read().parquet(dir.resolve("out").toString()).collectAsList())
                    .hasSize(10);
            assertThat(engine.requests()).hasSize(10);
        } finally {
            ExtendedSpark.clear();
        }
    }
}
