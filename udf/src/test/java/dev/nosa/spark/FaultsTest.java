package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.spark.metrics.Figures;
import dev.nosa.spark.metrics.Metric;
import dev.nosa.testkit.TinyModel;
import dev.nosa.testkit.TinyTokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What an executor says and counts when something is wrong, with the real engine. */
class FaultsTest {
    private static final String PLACE = "the engine of executor driver on host localhost could not be started: ";

    @TempDir
    Path model;

    @BeforeEach
    @AfterEach
    void forgetTheEngine() {
        ExecutorEngine.close();
    }

    private static Map<String, Long> counts() {
        Figures figures = ExecutorEngine.figures();
        Map<String, Long> counts = new TreeMap<>();
        Metric.ALL.forEach(metric ->
                counts.put(metric.name(), metric.getter().apply(figures).longValue()));
        return counts;
    }

    private static long grown(Map<String, Long> before, String metric) {
        return counts().get(metric) - before.get(metric);
    }

    private NosaGenerate.Builder generate() {
        return NosaGenerate.builder(model.toString()).maxNewTokens(5).threads(1);
    }

    private void writeModel(int maxPositions) throws Exception {
        TinyModel.builder()
                .vocab(TinyTokenizer.VOCAB)
                .maxPositions(maxPositions)
                .write(model);
        TinyTokenizer.write(model);
    }

    private static Dataset<Row> documents(int count) {
        return LocalSpark.dataset(LocalSpark.documents(count), 1);
    }

    @Test
    void aModelThatAnExecutorCannotReachIsNamedWithTheExecutor() {
        Map<String, Long> before = counts();
        Dataset<Row> results = NosaGenerate.builder("/no/such/model").build().transform(documents(2));
        assertThatThrownBy(results::collectAsList).hasStackTraceContaining(PLACE + "/no/such/model: no such folder");
        assertThat(grown(before, "errors_start")).isEqualTo(1);
    }

    @Test
    void aHostTierThatTheMachineDoesNotHaveIsRefusedBeforeTheModelIsLoaded() {
        Dataset<Row> results = generate().hostKv(1L << 50).build().transform(documents(2));
        assertThatThrownBy(results::collectAsList)
                .hasStackTraceContaining(
                        PLACE + "host-kv: 1024.0 TiB do not fit on executor driver on host localhost: ");
    }

    @Test
    void errorsAreCountedByClass() throws Exception {
        writeModel(600);
        Map<String, Long> before = counts();
        Dataset<Row> input = LocalSpark.dataset(
                List.of(
                        RowFactory.create("a", "some text", 0),
                        RowFactory.create("b", null, 0),
                        RowFactory.create(null, "some text", 0),
                        RowFactory.create("c", "word ".repeat(900), 0)),
                2);
        assertThat(generate().build().transform(input).collectAsList()).hasSize(4);
        assertThat(grown(before, "documents")).isEqualTo(4);
        assertThat(grown(before, "errors_input")).isEqualTo(2);
        assertThat(grown(before, "errors_too_long")).isEqualTo(1);
        assertThat(grown(before, "errors_refused")).isZero();
        assertThat(grown(before, "tokens_in")).isEqualTo(counts().get("tokens_prefilled"));
        assertThat(grown(before, "tokens_out")).isPositive();
    }

    @Test
    void aTaskThatIsKilledInMidGenerationGivesItsSequencesAndTheirMemoryBack() throws Exception {
        writeModel(60_000);
        SparkSession spark = LocalSpark.session();
        Map<String, Long> before = counts();
        CompletableFuture<List<Row>> job = CompletableFuture.supplyAsync(() -> {
            spark.sparkContext().setJobGroup("to-kill", "", false);
            return generate()
                    .maxNewTokens(50_000)
                    .build()
                    .transform(documents(400))
                    .collectAsList();
        });
        await(() -> counts().get("running") > 0 && grown(before, "tokens_decoded") > 20);
        assertThat(counts().get("host_blocks_used")).isPositive();

        spark.sparkContext().cancelJobGroup("to-kill");

        assertThatThrownBy(() -> job.orTimeout(20, TimeUnit.SECONDS).join()).hasMessageContaining("cancelled");
        await(() -> counts().get("running") == 0 && counts().get("host_blocks_used") == 0);
        assertThat(grown(before, "errors_cancelled")).isPositive();
    }

    private static void await(BooleanSupplier condition) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (!condition.getAsBoolean() && System.nanoTime() < deadline) {
            TimeUnit.MILLISECONDS.sleep(5);
        }
        assertThat(condition.getAsBoolean()).isTrue();
    }
}
