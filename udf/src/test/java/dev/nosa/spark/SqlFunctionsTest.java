package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.engine.EngineConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The SQL functions in a session with the extension. The engine repeats its prompts, at 9 bytes or so a token each. */
class SqlFunctionsTest {
    private static final int ROWS = 40;

    private final SparkSession spark = ExtendedSpark.session();
    private FakeEngine engine;

    @BeforeEach
    void prepare() throws Exception {
        start(new FakeEngine(200, true));
        spark.conf().set("spark.nosa.model", "model");
        spark.conf().set("spark.nosa.maxNewTokens", "10");
        documents(2).createOrReplaceTempView("documents");
    }

    @AfterEach
    void forget() {
        ExecutorEngine.close();
        ExtendedSpark.clear();
    }

    private void start(FakeEngine started) throws Exception {
        ExecutorEngine.close();
        engine = started;
        ExecutorEngine.get(
                EngineOptions.of(EngineConfig.builder(Path.of("model")).build()),
                config -> started.hosted(),
                () -> false);
    }

    private Dataset<Row> documents(int partitions) {
        List<Row> rows = new ArrayList<>(IntStream.range(0, ROWS)
                .mapToObj(i -> RowFactory.create("id" + i, "text " + i, i))
                .toList());
        return spark.createDataFrame(rows, LocalSpark.DOCUMENTS).repartition(partitions);
    }

    private Dataset<Row> sql(String query) {
        return spark.sql(query);
    }

    @Test
    void everyRowGetsAStructOfItsOwn() {
        List<Row> rows = sql("SELECT text, nosa_generate(text) AS g, rank FROM documents")
                .collectAsList();

        assertThat(rows).hasSize(ROWS);
        assertThat(rows.get(0).getStruct(1).schema().fieldNames())
                .containsExactly("generation", "status", "error", "finish_reason", "prompt_tokens", "output_tokens");
        for (Row row : rows) {
            int tokens = row.getString(0).length() + 1;
            assertThat(row.getString(0)).isEqualTo("text " + row.getInt(2));
            assertThat(row.getStruct(1))
                    .isEqualTo(RowFactory.create(row.getString(0), "ok", null, "stop", tokens, tokens));
        }
    }

    @Test
    void eachTaskHasAWindowOfRowsInFlight() throws Exception {
        start(new FakeEngine(200, false));
        documents(1).createOrReplaceTempView("documents");
        CompletableFuture<List<Row>> query = CompletableFuture.supplyAsync(
                () -> sql("SELECT nosa_generate(text) FROM documents").collectAsList());

        await(() -> engine.requests().size() == 2 * FakeEngine.MAX_BATCH);
        while (!query.isDone()) {
            engine.requests().forEach(FakeEngine.Pending::finish);
        }

        assertThat(query.join()).hasSize(ROWS);
        assertThat(engine.requests()).hasSize(ROWS);
    }

    @Test
    void nullInNullOut() {
        List<Row> rows = sql("SELECT id, nosa_generate(IF(rank < 3, text, NULL)),"
                        + " nosa_score(text, IF(rank < 2, array('a'), NULL)), nosa_score(NULL, array('a'))"
                        + " FROM documents WHERE rank < 6")
                .collectAsList();

        assertThat(rows).hasSize(6);
        assertThat(rows.stream().filter(row -> row.isNullAt(1))).hasSize(3);
        assertThat(rows.stream().filter(row -> row.isNullAt(2))).hasSize(4);
        assertThat(rows.stream().filter(row -> row.isNullAt(3))).hasSize(6);
        assertThat(engine.requests()).hasSize(3);
    }

    @Test
    void anErrorOfARowIsAFieldOfItsResult() {
        List<Row> errors = sql("SELECT nosa_generate(t) AS g FROM VALUES ('fine'), ('REFUSE'), ('  ') AS v(t)")
                .where("g.status = 'error'")
                .selectExpr("g.*")
                .collectAsList();

        assertThat(errors)
                .extracting(row -> row.getString(2))
                .containsExactlyInAnyOrder("refused", "column 'text' is empty");
        assertThat(errors).allSatisfy(row -> assertThat(row.isNullAt(0)).isTrue());
    }

    @Test
    void failOnErrorFailsTheQueryWithTheRowsError() {
        assertThatThrownBy(() -> sql("SELECT nosa_generate('REFUSE', map('failOnError', 'true'))")
                        .collectAsList())
                .hasStackTraceContaining("nosa_generate: refused (failOnError = false makes it the row's error)");
    }

    @Test
    void aCallsOptionsGoOverTheSessions() {
        spark.conf().set("spark.nosa.prompt", "Session: {text}");
        spark.conf().set("spark.nosa.maxNewTokens", "150");

        Row row =
                sql("SELECT nosa_generate('a').generation, nosa_generate('a', map('prompt', 'Call: {text}')).generation,"
                                + " nosa_generate(repeat('a', 60)).error,"
                                + " nosa_generate(repeat('a', 60), map('maxNewTokens', 100)).error")
                        .head();

        assertThat(row.getString(0)).isEqualTo("Session: a");
        assertThat(row.getString(1)).isEqualTo("Call: a");
        assertThat(row.getString(2)).startsWith("the prompt has 70 tokens, but the limit is 50");
        assertThat(row.getString(3)).isNull();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "map('maxNewToken', '5') | there is no option maxNewToken; the nearest is maxNewTokens, the options are"
                        + " backend, deviceKv, failOnError,",
                "map('maxNewTokens', 'ten') | maxNewTokens = ten: must be a whole number",
                "map('maxNewTokens', 1.5) | maxNewTokens = 1.5: must be a whole number",
                "map('max-new-tokens', '0') | max-new-tokens = 0: must be 1 or more",
                "map('temperature', 'warm') | temperature = warm: must be a number",
                "map('failOnError', 'yes') | failOnError = yes: must be true or false",
                "map('hostKv', '4x') | hostKv = 4x: must be bytes, as 512m or 4g",
                "map('stopTokens', '1;2') | stopTokens = 1;2: must be whole numbers with commas between them",
                "map('onTooLong', 'truncate') | on-too-long = truncate: must be one of error, truncate-head",
                "map('prompt', 'Sum up') | prompt = Sum up: must refer to {text}, the function's argument,",
                "map('prompt', '{text} {title}') | must refer to {text}, the function's argument, and to nothing else",
                "map('stop', CAST(NULL AS STRING)) | stop is null: give it a value, or leave it out",
                "map('topK', 7, 'onTooLong', 'error') | the options mix numbers and strings: write all values as strings",
                "map(1, 'seed') | the options are map<int,string>: must be a map of strings, as map('seed', '7')",
                "'seed' | the options are string: must be a map of strings, as map('seed', '7')",
                "map('stop', text) | the options differ from row to row: must be a constant map",
            })
    void aWrongOptionEndsTheQueryBeforeItStarts(String options, String message) {
        assertThatThrownBy(() -> sql("SELECT nosa_generate(text, " + options + ") FROM documents"))
                .hasMessageContaining("nosa_generate: ")
                .hasMessageContaining(message);
    }

    @Test
    void whatOnlyGenerationKnowsIsNoOptionOfScoring() {
        assertThatThrownBy(() -> sql("SELECT nosa_score(text, array('a'), map('topK', '5')) FROM documents"))
                .hasMessageContaining("nosa_score: there is no option topK; the nearest is ");
    }

    @Test
    void aModelMustBeSet() {
        spark.conf().unset("spark.nosa.model");

        for (String call : List.of("generate(text)", "score(text, array('a'))", "count_tokens(text)")) {
            assertThatThrownBy(() -> sql("SELECT nosa_" + call + " FROM documents"))
                    .hasMessageContaining("no model: set spark.nosa.model to the folder of a checkpoint");
        }
    }

    @Test
    void anUnknownOptionOfTheSessionIsNamedWithTheNearest() {
        spark.conf().set("spark.nosa.maxBach", "4");

        assertThatThrownBy(() -> sql("SELECT nosa_generate(text) FROM documents"))
                .hasMessageContaining("there is no option spark.nosa.maxBach; the nearest is spark.nosa.maxBatch");
    }

    @Test
    void argumentsOfAnotherNumberOrTypeAreRefused() {
        assertThatThrownBy(() -> sql("SELECT nosa_generate()")).hasMessageContaining("WRONG_NUM_ARGS");
        assertThatThrownBy(() -> sql("SELECT nosa_generate(array(1))"))
                .hasMessageContaining("\"STRING\" type")
                .hasMessageContaining("\"ARRAY<INT>\"");
        assertThatThrownBy(() -> sql("SELECT nosa_score('text', 'yes')"))
                .hasMessageContaining("\"ARRAY<STRING>\" type");
    }

    @Test
    void numbersAreTexts() {
        assertThat(sql("SELECT nosa_generate(17).generation").head().getString(0))
                .isEqualTo("17");
    }

    @Test
    void scoresAreInTheOrderOfTheContinuations() {
        Row row = sql("SELECT s.scores[0].continuation, s.scores[1].sum, s.status, s.error FROM"
                        + " (SELECT nosa_score(t, c) AS s FROM VALUES ('text', array('yes', 'no')) AS v(t, c))")
                .head();

        assertThat(row).isEqualTo(RowFactory.create("yes", -2.0, "ok", null));
        assertThat(sql("SELECT nosa_score('text', array('a', CAST(NULL AS STRING))).error")
                        .head()
                        .getString(0))
                .isEqualTo("a continuation is null");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "SELECT nosa_generate(text).generation, nosa_generate(text).error FROM documents | 40 | 40",
                "SELECT * FROM (SELECT id, nosa_generate(text) g FROM documents) WHERE g.status = 'ok' | 40 | 40",
                "SELECT * FROM (SELECT id, nosa_generate(text) g FROM documents) WHERE id = 'id7' | 1 | 1",
                "SELECT * FROM (SELECT id i, rank, nosa_generate(text) g FROM documents)"
                        + " WHERE i > 'id2' AND rank < 5 AND g.status = 'ok' | 2 | 2",
                "SELECT id FROM documents WHERE rank < 9 AND nosa_generate(text).generation <> 'text 4' | 8 | 9",
                "SELECT id FROM documents WHERE nosa_generate(text).generation <> 'text 4' AND rank < 9 | 8 | 9",
                "SELECT id, nosa_generate(text) g FROM documents ORDER BY id | 40 | 40",
                "SELECT id, nosa_generate(text).prompt_tokens n FROM documents ORDER BY n, id | 40 | 40",
                "SELECT id FROM documents ORDER BY nosa_generate(text).generation | 40 | 40",
                "SELECT /*+ REPARTITION_BY_RANGE(3, id) */ id, nosa_generate(text) g FROM documents | 40 | 40",
                "WITH c AS (SELECT id, nosa_generate(text) g FROM documents)"
                        + " SELECT a.g, b.g FROM c a JOIN c b ON a.id = b.id | 40 | 40",
                "SELECT id FROM (SELECT id, nosa_generate(text) g FROM documents) | 40 | 0",
                "SELECT g.status, count(*) FROM (SELECT nosa_generate(text) g FROM documents) GROUP BY 1 | 1 | 40",
                "SELECT nosa_generate(text).status, count(*) FROM documents GROUP BY 1 | 1 | 40",
                "SELECT nosa_generate(min(text)).status FROM documents | 1 | 1",
                "SELECT rank % 4 AS k, nosa_generate(max(text)), count(*) FROM documents GROUP BY 1 | 4 | 4",
                "SELECT nosa_generate(string(rank % 4)).generation, rank % 4 FROM documents GROUP BY rank % 4 | 4 | 4",
                "SELECT avg(nosa_generate(text).output_tokens), max(nosa_generate(text).status) FROM documents | 1 | 40",
                "SELECT nosa_generate(concat(nosa_generate(text).generation, '!')).generation FROM documents | 40 | 80",
                "SELECT row_number() OVER (ORDER BY nosa_generate(text).generation) FROM documents | 40 | 40",
                "SELECT id FROM documents WHERE text = (SELECT nosa_generate('text 7').generation) | 1 | 1",
                "SELECT nosa_generate('constant').generation FROM documents WHERE rank < 0 | 0 | 0",
                "SELECT text, nosa_generate(text) FROM documents UNION ALL SELECT 'a', nosa_generate('a') | 41 | 41",
            })
    void aRowIsGeneratedOnceAndOnlyWhereTheQueryNeedsIt(String query, int rows, int requests) {
        assertThat(sql(query).collectAsList()).hasSize(rows);
        assertThat(engine.requests()).hasSize(requests);
    }

    @Test
    void aLimitIsTakenBeforeRowsAreGenerated() {
        documents(1).createOrReplaceTempView("documents");

        assertThat(sql("SELECT id, nosa_generate(text) FROM documents LIMIT 3").collectAsList())
                .hasSize(3);
        sql("SELECT id, nosa_generate(text) AS g FROM documents")
                .select("g.generation")
                .limit(2)
                .show();

        assertThat(engine.requests()).hasSize(3 + 2);
    }

    @Test
    void aConditionIsNotMovedPastRandomNumbers() {
        Dataset<Row> rows = sql("SELECT * FROM (SELECT id, rand(7) AS r, nosa_generate(text) AS g FROM documents)"
                + " WHERE id = 'id7'");

        assertThat(rows.collectAsList()).hasSize(1);
        assertThat(engine.requests()).hasSize(ROWS);
    }

    @Test
    void theResultIsOrderedWhereTheQueryAsksForIt() {
        List<Integer> ranks =
                sql("SELECT rank, nosa_generate(text) FROM documents ORDER BY rank DESC").collectAsList().stream()
                        .map(row -> row.getInt(0))
                        .toList();

        assertThat(ranks)
                .isEqualTo(
                        IntStream.range(0, ROWS).map(i -> ROWS - 1 - i).boxed().toList());
    }

    @Test
    void scoresCanBeExploded() {
        assertThat(sql("SELECT id, explode(nosa_score(text, array('a', 'b')).scores) FROM documents")
                        .collectAsList())
                .hasSize(2 * ROWS);
    }

    @Test
    void aCallInAJoinConditionIsRefusedWithAWayOut() {
        assertThatThrownBy(() -> sql(
                        "SELECT * FROM documents a JOIN documents b ON nosa_generate(a.text || b.text).status = 'ok'"))
                .hasMessage(
                        "nosa_generate cannot be used in Join: call it in the SELECT list of a subquery, and use its result"
                                + " there");
    }

    @Test
    void whatTakesLongIsNotBroadcast() {
        Dataset<Row> rows = sql("SELECT * FROM (SELECT id, nosa_generate(text) g FROM documents)"
                + " JOIN (SELECT id, nosa_score(text, array('a')) s FROM documents) USING (id)");

        assertThat(rows.queryExecution().executedPlan().toString())
                .contains("SortMergeJoin")
                .doesNotContain("Broadcast");
        assertThat(rows.collectAsList()).hasSize(ROWS);
    }

    @Test
    void aDataFrameJoinedWithItselfKeepsItsRows() {
        Dataset<Row> rows = sql("SELECT id, nosa_generate(text).generation AS g FROM documents");

        Dataset<Row> joined = rows.as("a").join(rows.as("b"), functions.expr("a.id = b.id"));

        assertThat(joined.where("a.g = b.g").count()).isEqualTo(ROWS);
    }

    @Test
    void aStoredViewTakesTheOptionsOfTheSessionThatReadsIt(@TempDir Path dir) {
        documents(1).write().parquet(dir.resolve("documents").toString());
        sql("CREATE OR REPLACE VIEW generated AS SELECT id, nosa_generate(text) AS g FROM parquet.`"
                + dir.resolve("documents") + "`");
        try {
            spark.conf().set("spark.nosa.prompt", "Later: {text}");
            assertThat(sql("SELECT g.generation FROM generated WHERE id = 'id3'")
                            .collectAsList())
                    .containsExactly(RowFactory.create("Later: text 3"));
            assertThat(engine.requests()).hasSize(1);
        } finally {
            sql("DROP VIEW generated");
        }
    }

    @Test
    void aTableIsMadeOfTheResults(@TempDir Path dir) {
        sql("CREATE TABLE made USING parquet LOCATION '" + dir.resolve("made")
                + "' AS SELECT id, nosa_generate(text).generation AS g FROM documents");
        try {
            sql("INSERT INTO made SELECT 'more', nosa_generate('more').generation");

            assertThat(sql("SELECT g FROM made WHERE id IN ('id3', 'more') ORDER BY id")
                            .collectAsList())
                    .containsExactly(RowFactory.create("text 3"), RowFactory.create("more"));
            assertThat(engine.requests()).hasSize(ROWS + 1);
        } finally {
            sql("DROP TABLE made");
        }
    }

    @Test
    void onlyTheColumnsThatTheQueryNeedsAreRead(@TempDir Path dir) {
        documents(1).write().parquet(dir.resolve("documents").toString());
        Dataset<Row> rows =
                spark.read().parquet(dir.resolve("documents").toString()).selectExpr("nosa_generate(text) AS g");

        rows.write().parquet(dir.resolve("generated").toString());

        assertThat(spark.read()
                        .parquet(dir.resolve("generated").toString())
                        .where("g.status = 'ok'")
                        .count())
                .isEqualTo(ROWS);
        assertThat(rows.queryExecution().executedPlan().toString()).contains("ReadSchema: struct<text:string>");
    }

    @Test
    void aCachedResultIsFoundAgain() {
        Dataset<Row> rows =
                sql("SELECT id, nosa_generate(text) AS g FROM documents").cache();
        try {
            rows.count();
            assertThat(rows.where("g.status = 'ok'").count()).isEqualTo(ROWS);
            assertThat(engine.requests()).hasSize(ROWS);
        } finally {
            rows.unpersist();
        }
    }

    @Test
    void theFunctionsAreCallableByNameFromColumns() {
        Dataset<Row> rows = documents(2)
                .select(
                        functions
                                .call_function("nosa_generate", functions.col("text"))
                                .getField("generation")
                                .as("a"),
                        functions.expr("nosa_generate(text).generation").as("b"));

        assertThat(rows.collectAsList())
                .hasSize(ROWS)
                .allMatch(row -> row.getString(0).equals(row.getString(1)));
        assertThat(engine.requests()).hasSize(ROWS);
    }

    @Test
    void theFunctionsDescribeThemselves() {
        assertThat(sql("DESCRIBE FUNCTION EXTENDED nosa_score").collectAsList().toString())
                .contains("nosa_score(text, continuations [, options]) - Log-probabilities of given texts")
                .contains("> SELECT id, nosa_score(text, array(' yes', ' no')).scores[0].sum FROM letters;");
    }

    private static void await(BooleanSupplier condition) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (!condition.getAsBoolean() && System.nanoTime() < deadline) {
            Thread.onSpinWait();
        }
        assertThat(condition.getAsBoolean()).isTrue();
    }
}
