package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.testkit.TinyModel;
import dev.nosa.testkit.TinyTokenizer;
import dev.nosa.tokenizer.HuggingFaceTokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The SQL functions with a model. */
class SqlModelTest {
    @TempDir
    static Path model;

    private final SparkSession spark = ExtendedSpark.session();

    @BeforeAll
    static void writeModel() throws IOException {
        ExecutorEngine.close();
        TinyModel.builder().vocab(TinyTokenizer.VOCAB).maxPositions(600).write(model);
        TinyTokenizer.write(model);
    }

    @AfterAll
    static void closeEngine() {
        ExecutorEngine.close();
    }

    @BeforeEach
    void setOptions() {
        spark.sql("SET spark.nosa.model=" + model);
        spark.sql("SET spark.nosa.threads=2");
        spark.sql("SET spark.nosa.maxNewTokens=5");
        spark.createDataFrame(LocalSpark.documents(11), LocalSpark.DOCUMENTS)
                .repartition(3)
                .createOrReplaceTempView("documents");
    }

    @AfterEach
    void forget() {
        ExtendedSpark.clear();
    }

    @Test
    void generatesWhatTheTransformationGenerates() {
        Map<String, Row> expected = LocalSpark.byId(NosaGenerate.builder(model.toString())
                .threads(2)
                .maxNewTokens(5)
                .build()
                .transform(spark.table("documents")));

        Map<String, Row> rows =
                LocalSpark.byId(spark.sql("SELECT id, g.* FROM (SELECT id, nosa_generate(text) AS g FROM documents)"));

        assertThat(rows).hasSize(11).allSatisfy((id, row) -> {
            for (String column : row.schema().fieldNames()) {
                assertThat(row.<Object>getAs(column)).isEqualTo(expected.get(id).getAs(column));
            }
        });
    }

    @Test
    void samplesFromTheSeedAndTheText() {
        String sampled = "SELECT id, nosa_generate(text, map('temperature', '1', 'seed', '%d')).generation AS g FROM"
                + " documents ORDER BY id";

        List<Row> first = spark.sql(String.format(sampled, 7)).collectAsList();

        assertThat(spark.sql(String.format(sampled, 7)).collectAsList()).isEqualTo(first);
        assertThat(spark.sql(String.format(sampled, 8)).collectAsList()).isNotEqualTo(first);
    }

    @Test
    void scoresAreThoseOfTheTransformation() {
        Row expected = NosaScore.builder(model.toString())
                .threads(2)
                .continuations(" yes", " no")
                .build()
                .transform(spark.table("documents").where("id = 'd3'"))
                .head();

        Row row = spark.sql("SELECT nosa_score(text, array(' yes', ' no')).scores FROM documents WHERE id = 'd3'")
                .head();

        assertThat(row.<Row>getList(0)).isEqualTo(expected.<Row>getList(expected.fieldIndex("scores")));
    }

    @Test
    void countsTheTokensOfTheTextAlone() {
        List<Row> rows = spark.sql("SELECT text, nosa_count_tokens(text), nosa_count_tokens(NULL) FROM documents")
                .collectAsList();

        try (HuggingFaceTokenizer tokenizer = HuggingFaceTokenizer.load(model)) {
            assertThat(rows).hasSize(11).allSatisfy(row -> {
                assertThat(row.getInt(1)).isEqualTo(tokenizer.encode(row.getString(0), false).length);
                assertThat(row.isNullAt(2)).isTrue();
            });
        }
        assertThat(spark.sql("SELECT id FROM documents WHERE nosa_count_tokens(text) > 100")
                        .count())
                .isBetween(1L, 10L);
    }
}
