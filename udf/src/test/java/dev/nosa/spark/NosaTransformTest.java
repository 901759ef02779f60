package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.engine.EngineConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Datasets through an engine that repeats its prompts. */
class NosaTransformTest {
    private static final int MAX_POSITIONS = 200;

    private static final SparkSession SPARK = LocalSpark.session();

    /** What the tasks of this JVM start; static because a task gets a copy of everything else. */
    private static volatile FakeEngine engine;

    @BeforeEach
    void newEngine() {
        ExecutorEngine.close();
        engine = new FakeEngine(MAX_POSITIONS, true);
    }

    @AfterEach
    void forgetEngine() {
        ExecutorEngine.close();
    }

    private static HostedModel start(EngineConfig config) {
        return engine.hosted();
    }

    @Test
    void everyBadRowIsARowWithAnError() {
        List<String> texts = texts(20);
        texts.set(3, null);
        texts.set(5, "");
        texts.set(7, "long ".repeat(100));
        texts.set(11, "REFUSE");

        Map<String, Row> rows = LocalSpark.byId(generate().build().transform(documents(texts, 3)));

        assertThat(rows).hasSize(20);
        assertThat(rows.get("id3").<String>getAs("error")).isEqualTo("column 'text' is null");
        assertThat(rows.get("id5").<String>getAs("error")).isEqualTo("column 'text' is empty");
        assertThat(rows.get("id7").<String>getAs("error"))
                .startsWith("the prompt has 501 tokens, but the limit is 190: 200 less 10 for the output");
        assertThat(rows.get("id11").<String>getAs("error")).isEqualTo("refused");
        rows.values().stream()
                .filter(row -> !List.of("id3", "id5", "id7", "id11").contains(row.getString(0)))
                .forEach(row -> {
                    assertThat(row.<String>getAs("status")).isEqualTo("ok");
                    assertThat(row.<String>getAs("error")).isNull();
                    assertThat(row.<String>getAs("generation")).isEqualTo("text " + row.getString(0));
                });
    }

    @Test
    void aRowWithoutAnIdIsARowWithAnError() {
        Dataset<Row> input = documents(texts(3), 1)
                .withColumn(
                        "id",
                        functions.when(functions.col("id").equalTo("id1"), null).otherwise(functions.col("id")));

        List<Row> rows = generate().build().transform(input).collectAsList();

        assertThat(rows).hasSize(3);
        Row failed = rows.stream().filter(row -> row.isNullAt(0)).findFirst().orElseThrow();
        assertThat(failed.<String>getAs("error")).isEqualTo("column 'id' is null");
    }

    @Test
    void aTextThatIsTooLongIsCutOnRequest() {
        Map<String, Row> rows = LocalSpark.byId(generate()
                .onTooLong(OnTooLong.TRUNCATE_TAIL)
                .build()
                .transform(documents(List.of("short", "x".repeat(1000)), 1)));

        assertThat(rows.get("id0").<String>getAs("status")).isEqualTo("ok");
        assertThat(rows.get("id1").<String>getAs("status")).isEqualTo("truncated");
        assertThat(rows.get("id1").<String>getAs("generation")).isEqualTo("x".repeat(189));
        assertThat(rows.get("id1").<Integer>getAs("prompt_tokens")).isEqualTo(190);
    }

    @Test
    void passThroughColumnsKeepTheirTypesAndRows() {
        Dataset<Row> input = documents(texts(10), 2)
                .withColumn("n", functions.substring(functions.col("id"), 3, 9).cast("int"))
                .withColumn("tags", functions.array(functions.col("id")))
                .withColumn("dotted.name", functions.struct(functions.col("id")))
                .withColumn("unused", functions.raise_error(functions.lit("not read")));

        Map<String, Row> rows = LocalSpark.byId(
                generate().passThrough("n", "tags", "dotted.name").build().transform(input));

        assertThat(rows).hasSize(10);
        rows.forEach((id, row) -> {
            assertThat("id" + row.<Integer>getAs("n")).isEqualTo(id);
            assertThat(row.getList(row.fieldIndex("tags"))).isEqualTo(List.of(id));
            assertThat(row.getStruct(row.fieldIndex("dotted.name")).getString(0))
                    .isEqualTo(id);
        });
    }

    @Test
    void anErrorColumnsTextTakesTheRowsPlace() {
        Dataset<Row> input = documents(texts(2), 1)
                .withColumn("unread", functions.when(functions.col("id").equalTo("id1"), "not UTF-8"));

        Map<String, Row> rows =
                LocalSpark.byId(generate().errorColumn("unread").build().transform(input));

        assertThat(rows.get("id0").<String>getAs("status")).isEqualTo("ok");
        assertThat(rows.get("id1").<String>getAs("error")).isEqualTo("not UTF-8");
    }

    @Test
    void usageIsAStructOfNumbers() {
        Row row = generate().build().transform(documents(List.of("some"), 1)).head();

        assertThat(row.<Integer>getAs("prompt_tokens")).isEqualTo(5);
        assertThat(row.<Integer>getAs("output_tokens")).isEqualTo(5);
        assertThat(row.<String>getAs("finish_reason")).isEqualTo("stop");
        assertThat(row.getStruct(row.fieldIndex("usage")))
                .isEqualTo(RowFactory.create(1.0, 2.0, 3.0, 40L, 4L, 0, 1_790_000_000_000L));
    }

    @Test
    void scoresEachRowsOwnContinuations() {
        StructType schema = LocalSpark.DOCUMENTS.add("answers", DataTypes.createArrayType(DataTypes.StringType));
        Dataset<Row> input = SPARK.createDataFrame(
                List.of(
                        RowFactory.create("a", "text", 0, new String[] {"yes", "n\u00f6"}),
                        RowFactory.create("b", "text", 0, new String[0]),
                        RowFactory.create("c", "text", 0, null),
                        RowFactory.create("d", "text", 0, new String[] {"yes", null}),
                        RowFactory.create("e", "x".repeat(190), 0, new String[] {"y", "longer than that"})),
                schema);

        Map<String, Row> rows = LocalSpark.byId(NosaScore.builder("model")
                .starter(NosaTransformTest::start)
                .continuationsColumn("answers")
                .build()
                .transform(input));

        List<Row> scores = rows.get("a").getList(rows.get("a").fieldIndex("scores"));
        assertThat(scores.get(0).getString(0)).isEqualTo("yes");
        assertThat(scores.get(0).getInt(1)).isEqualTo(3);
        assertThat(scores.get(0).getDouble(2)).isEqualTo(-3.0);
        assertThat(scores.get(0).getDouble(3)).isEqualTo(-1.0);
        assertThat(scores.get(0).getList(4)).isEqualTo(List.of(-1f, -1f, -1f));
        assertThat(scores.get(1).getString(0)).isEqualTo("n\u00f6");
        assertThat(rows.get("b").<String>getAs("error")).isEqualTo("column 'answers' holds no continuations");
        assertThat(rows.get("c").<String>getAs("error")).isEqualTo("column 'answers' holds no continuations");
        assertThat(rows.get("d").<String>getAs("error")).isEqualTo("a continuation is null");
        assertThat(rows.get("e").<String>getAs("error")).startsWith("the prompt has 191 tokens, but the limit is 184");
    }

    @Test
    void progressCountsRowsAndTokens() {
        List<String> texts = texts(10);
        texts.set(2, null);
        texts.set(4, "x".repeat(1000));
        RunProgress progress = new RunProgress(SPARK.sparkContext());

        generate()
                .onTooLong(OnTooLong.TRUNCATE_HEAD)
                .progress(progress)
                .build()
                .transform(documents(texts, 2))
                .collectAsList();

        assertThat(progress.documents()).isEqualTo(10);
        assertThat(progress.errors()).isEqualTo(1);
        assertThat(progress.truncated()).isEqualTo(1);
        assertThat(progress.promptTokens()).isEqualTo(8 * 9 + 190);
        assertThat(progress.blocksSelected()).isEqualTo(9 * 40);
        assertThat(progress.decodeMillis()).isEqualTo(9 * 3);
    }

    @Test
    void allTasksOfTheJvmUseOneEngine() {
        int before = ExecutorEngine.started();

        generate().build().transform(documents(texts(40), 8)).collectAsList();
        generate().build().transform(documents(texts(40), 4)).collectAsList();

        assertThat(ExecutorEngine.started() - before).isEqualTo(1);
        assertThat(engine.requests()).hasSize(80);
    }

    @Test
    void anotherEngineConfigurationInTheSameJvmFailsTheJob() {
        generate().build().transform(documents(texts(1), 1)).collectAsList();

        assertThatThrownBy(() -> generate()
                        .maxBatch(3)
                        .build()
                        .transform(documents(texts(1), 1))
                        .collectAsList())
                .hasStackTraceContaining("max-batch = 0, but 3 is asked for");
    }

    @Test
    void moreNewTokensThanTheModelTakesFailTheJob() {
        assertThatThrownBy(() -> generate()
                        .maxNewTokens(MAX_POSITIONS)
                        .build()
                        .transform(documents(texts(1), 1))
                        .collectAsList())
                .hasStackTraceContaining("max-new-tokens = 200: must be below 200");
    }

    @Test
    void anEmptyPartitionLoadsNoModel() {
        int before = ExecutorEngine.started();

        assertThat(generate().build().transform(documents(List.of(), 2)).collectAsList())
                .isEmpty();

        assertThat(ExecutorEngine.started()).isEqualTo(before);
    }

    @Test
    void takingAFewRowsCancelsTheRest() {
        engine = new FakeEngine(MAX_POSITIONS, false);
        CompletableFuture<Row> first = CompletableFuture.supplyAsync(
                () -> generate().build().transform(documents(texts(100), 1)).head());
        await(() -> engine.requests().size() == 16);

        engine.requests().get(2).finish();

        assertThat(first.orTimeout(20, TimeUnit.SECONDS).join().<String>getAs("status"))
                .isEqualTo("ok");
        assertThat(engine.requests().stream().filter(FakeEngine.Pending::isCancelled))
                .hasSize(engine.requests().size() - 1);
    }

    @Test
    void aCancelledJobCancelsItsRequests() {
        engine = new FakeEngine(MAX_POSITIONS, false);
        CompletableFuture<List<Row>> job = CompletableFuture.supplyAsync(() -> {
            SPARK.sparkContext().setJobGroup("to-cancel", "", false);
            return generate().build().transform(documents(texts(100), 2)).collectAsList();
        });
        await(() -> engine.requests().size() >= 16);

        SPARK.sparkContext().cancelJobGroup("to-cancel");

        assertThatThrownBy(() -> job.orTimeout(20, TimeUnit.SECONDS).join()).hasMessageContaining("cancelled");
        await(() -> engine.requests().stream().allMatch(FakeEngine.Pending::isCancelled));
        assertThat(engine.requests()).allMatch(FakeEngine.Pending::isCancelled);
    }

    @Test
    void aDeadEngineFailsTheJobWithTheFirstCause() {
        engine = new FakeEngine(MAX_POSITIONS, false);
        CompletableFuture<List<Row>> job = CompletableFuture.supplyAsync(
                () -> generate().build().transform(documents(texts(4), 1)).collectAsList());
        await(() -> engine.requests().size() == 4);

        engine.fail(new IllegalStateException("out of device memory"));

        assertThatThrownBy(() -> job.orTimeout(20, TimeUnit.SECONDS).join())
                .hasStackTraceContaining("the engine failed: out of device memory");
    }

    private static NosaGenerate.Builder generate() {
        return NosaGenerate.builder("model").starter(NosaTransformTest::start).maxNewTokens(10);
    }

    private static Dataset<Row> documents(List<String> texts, int partitions) {
        List<Row> rows = new ArrayList<>();
        for (int i = 0; i < texts.size(); i++) {
            rows.add(RowFactory.create("id" + i, texts.get(i), i));
        }
        return LocalSpark.dataset(rows, partitions);
    }

    private static List<String> texts(int count) {
        return new ArrayList<>(
                IntStream.range(0, count).mapToObj(i -> "text id" + i).toList());
    }

    private static void await(BooleanSupplier condition) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (!condition.getAsBoolean() && System.nanoTime() < deadline) {
            Thread.onSpinWait();
        }
        assertThat(condition.getAsBoolean()).isTrue();
    }
}
