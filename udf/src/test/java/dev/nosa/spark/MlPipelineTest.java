package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.engine.EngineConfig;
import dev.nosa.spark.ml.NosaGenerator;
import dev.nosa.spark.ml.NosaScorer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.ml.Pipeline;
import org.apache.spark.ml.PipelineModel;
import org.apache.spark.ml.PipelineStage;
import org.apache.spark.ml.feature.Tokenizer;
import org.apache.spark.ml.param.ParamMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Stages in a session without the extension. The engine repeats its prompts. */
class MlPipelineTest {
    private static final StructType SCHEMA =
            LocalSpark.DOCUMENTS.add("answers", DataTypes.createArrayType(DataTypes.StringType));

    private final SparkSession spark = LocalSpark.session();
    private FakeEngine engine;

    @BeforeEach
    void start() throws Exception {
        SparkSession.setActiveSession(spark);
        ExecutorEngine.close();
        engine = new FakeEngine(1000, true);
        ExecutorEngine.get(
                EngineOptions.of(EngineConfig.builder(Path.of("model")).build()),
                config -> engine.hosted(),
                () -> false);
    }

    @AfterEach
    void forget() {
        ExecutorEngine.close();
        SparkSession.clearActiveSession();
    }

    private Dataset<Row> documents() {
        String[] answers = {"yes", "no"};
        return spark.createDataFrame(
                List.of(
                        RowFactory.create("a", "A Text", 1, answers),
                        RowFactory.create("b", "REFUSE", 2, answers),
                        RowFactory.create("c", null, 3, answers)),
                SCHEMA);
    }

    private static NosaGenerator generator() {
        return new NosaGenerator().setModel("model").setMaxNewTokens(20).setPrompt("Sum up: {text}");
    }

    @Test
    void addsTheTextItsStatusAndItsError() {
        Dataset<Row> output = generator().setOutputCol("summary").transform(documents());

        assertThat(output.schema())
                .isEqualTo(generator().setOutputCol("summary").transformSchema(SCHEMA));
        assertThat(LocalSpark.byId(output).values())
                .extracting(row -> row.getAs("summary"), row -> row.getAs("status"), row -> row.getAs("error"))
                .containsExactly(
                        org.assertj.core.groups.Tuple.tuple("Sum up: A Text", "ok", null),
                        org.assertj.core.groups.Tuple.tuple(null, "error", "refused"),
                        org.assertj.core.groups.Tuple.tuple(null, null, null));
        assertThat(engine.requests()).hasSize(2);
    }

    @Test
    void aPipelineIsSavedAndLoaded(@TempDir Path dir) throws IOException {
        Pipeline pipeline = new Pipeline().setStages(new PipelineStage[] {
            generator().setTemperature(0.5).setTopK(3).setSeed(7).setOutputCol("summary"),
            new Tokenizer().setInputCol("summary").setOutputCol("words"),
            new NosaScorer()
                    .setModel("model")
                    .setContinuationsCol("answers")
                    .setStatusCol("scored")
                    .setErrorCol("why")
        });
        Dataset<Row> input = documents().where("id = 'a'");
        pipeline.fit(input).write().save(dir.resolve("pipeline").toString());

        PipelineModel loaded = PipelineModel.load(dir.resolve("pipeline").toString());

        Row row = loaded.transform(input).head();
        assertThat(row.getList(row.fieldIndex("words"))).isEqualTo(List.of("sum", "up:", "a", "text"));
        assertThat(row.<String>getAs("scored")).isEqualTo("ok");
        assertThat(row.<Row>getList(row.fieldIndex("scores")).get(1).getString(0))
                .isEqualTo("no");
        NosaGenerator generator = (NosaGenerator) loaded.stages()[0];
        assertThat(generator.uid()).isEqualTo(pipeline.getStages()[0].uid());
        assertThat(generator.explainParams())
                .contains("maxNewTokens: tokens generated at most (current: 20)")
                .contains("temperature: 0 takes the likeliest token (current: 0.5)")
                .contains("inputCol: column of the document's text (default: text)");
    }

    @Test
    void aStageIsSavedAndLoadedByItself(@TempDir Path dir) throws IOException {
        NosaScorer scorer = new NosaScorer().setContinuations("yes", "no").setModel("model");
        scorer.write().save(dir.resolve("scorer").toString());

        NosaScorer loaded = NosaScorer.load(dir.resolve("scorer").toString());

        Row row = loaded.transform(documents().where("id = 'a'")).head();
        assertThat(row.<Row>getList(row.fieldIndex("scores")).get(0).getDouble(2))
                .isEqualTo(-3.0);
    }

    @Test
    void aCopyHasItsOwnParams() {
        NosaGenerator original = generator();
        NosaGenerator copy = original.copy(new ParamMap().put(original.prompt(), "Copy: {text}"));

        assertThat(copy.transform(documents().where("id = 'a'")).head().<String>getAs("generation"))
                .isEqualTo("Copy: A Text");
        assertThat(original.transform(documents().where("id = 'a'")).head().<String>getAs("generation"))
                .isEqualTo("Sum up: A Text");
    }

    @Test
    void columnsThatDoNotFitAreNamed() {
        assertThatThrownBy(() -> generator().setInputCol("txt").transformSchema(SCHEMA))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("inputCol: there is no column 'txt'; the nearest is text, the columns are id, text, rank,"
                        + " answers");
        assertThatThrownBy(() -> generator().setInputCol("rank").transform(documents()))
                .hasMessage("inputCol: column 'rank' is int; it must be a string");
        assertThatThrownBy(() -> generator().setOutputCol("Text").transformSchema(SCHEMA))
                .hasMessage("outputCol: there is a column 'Text' already; give the new one another name");
        assertThatThrownBy(() -> new NosaScorer().setContinuationsCol("text").transformSchema(SCHEMA))
                .hasMessage("continuationsCol: column 'text' is string; it must be an array of strings");
        assertThatThrownBy(() -> new NosaScorer().transformSchema(SCHEMA))
                .hasMessage("continuations: set either these or continuationsCol, not both or neither");
    }

    @Test
    void aWrongValueIsFoundBeforeTheJobStarts() {
        assertThatThrownBy(() -> generator().setTopP(1.5).transform(documents()))
                .hasMessageContaining("nosa_generate: top-p = 1.5: must be ");
        assertThatThrownBy(() -> new NosaGenerator().transform(documents()))
                .hasMessageContaining("no model: set spark.nosa.model to the folder of a checkpoint");
    }
}
