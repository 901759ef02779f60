package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.engine.EngineConfig;
import dev.nosa.spark.functions.NosaFunctions;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The functions in a session that was there before them. */
class RegisterTest {
    private static final int ROWS = 40;

    private SparkSession spark;
    private FakeEngine engine;

    @BeforeEach
    void start() throws Exception {
        spark = LocalSpark.session().newSession();
        SparkSession.setActiveSession(spark);
        ExecutorEngine.close();
        engine = new FakeEngine(200, true);
        ExecutorEngine.get(
                EngineOptions.of(EngineConfig.builder(Path.of("model")).build()),
                config -> engine.hosted(),
                () -> false);
        NosaFunctions.register(spark, Map.of("model", "model", "max-new-tokens", "10"));
        List<Row> rows = IntStream.range(0, ROWS)
                .mapToObj(i -> RowFactory.create("id" + i, "text " + i, i))
                .toList();
        spark.createDataFrame(rows, LocalSpark.DOCUMENTS).repartition(2).createOrReplaceTempView("documents");
    }

    @AfterEach
    void forget() {
        ExecutorEngine.close();
        SparkSession.clearActiveSession();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "SELECT nosa_generate(text).generation, nosa_generate(text).error FROM documents | 40 | 40",
                "SELECT * FROM (SELECT id, nosa_generate(text) g FROM documents) WHERE g.status = 'ok' | 40 | 40",
                "SELECT * FROM (SELECT id, nosa_generate(text) g FROM documents) WHERE id = 'id7' | 1 | 1",
                "SELECT id FROM documents WHERE nosa_generate(text).generation <> 'text 4' AND rank < 9 | 8 | 9",
                "SELECT id, nosa_generate(text) g FROM documents ORDER BY id | 40 | 40",
                "SELECT id FROM (SELECT id, nosa_generate(text) g FROM documents) | 40 | 0",
                "SELECT g.status, count(*) FROM (SELECT nosa_generate(text) g FROM documents) GROUP BY 1 | 1 | 40",
                "SELECT id, nosa_score(text, array('a')).scores FROM documents | 40 | 0",
            })
    void aRowIsGeneratedOnceAndOnlyWhereTheQueryNeedsIt(String query, int rows, int requests) {
        assertThat(spark.sql(query).collectAsList()).hasSize(rows);
        assertThat(engine.requests()).hasSize(requests);
    }

    @Test
    void onlyTheColumnsThatTheQueryNeedsAreRead(@TempDir Path dir) {
        spark.table("documents").write().parquet(dir.resolve("documents").toString());

        String plan = spark.read()
                .parquet(dir.resolve("documents").toString())
                .selectExpr("nosa_generate(text) AS g")
                .queryExecution()
                .executedPlan()
                .toString();

        assertThat(plan).contains("ReadSchema: struct<text:string>");
    }

    @Test
    void anUnknownOptionIsNamedWithTheNearest() {
        assertThatThrownBy(() -> NosaFunctions.register(spark, Map.of("maxBach", "4")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("there is no option maxBach; the nearest is maxBatch");
    }
}
