package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.testkit.TinyModel;
import dev.nosa.testkit.TinyTokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NosaGenerateTest {
    @TempDir
    static Path model;

    @BeforeAll
    static void writeModel() throws IOException {
        TinyModel.builder().vocab(TinyTokenizer.VOCAB).maxPositions(600).write(model);
        TinyTokenizer.write(model);
    }

    @AfterAll
    static void closeEngine() {
        ExecutorEngine.close();
    }

    private static NosaGenerate.Builder builder() {
        return NosaGenerate.builder(model.toString())
                .maxNewTokens(5)
                .temperature(0.8f)
                .seed(7)
                .threads(2);
    }

    private static Map<String, Row> run(NosaGenerate generate, List<Row> rows, int partitions) {
        return LocalSpark.byId(generate.transform(LocalSpark.dataset(rows, partitions)));
    }

    @Test
    void everyRowComesBackWithItsColumns() {
        Map<String, Row> rows = run(builder().passThrough("rank").build(), LocalSpark.documents(9), 2);
        assertThat(rows).hasSize(9);
        Row row = rows.get("d4");
        assertThat(row.schema().fieldNames())
                .containsExactly(
                        "id",
                        "rank",
                        "generation",
                        "status",
                        "error",
                        "finish_reason",
                        "prompt_tokens",
                        "output_tokens",
                        "usage");
        assertThat(row.<Integer>getAs("rank")).isEqualTo(4);
        assertThat(row.<String>getAs("status")).isEqualTo("ok");
        assertThat(row.<String>getAs("error")).isNull();
        assertThat(row.<String>getAs("finish_reason")).isIn("length", "stop");
        assertThat(row.<Integer>getAs("prompt_tokens")).isGreaterThan(100);
        assertThat(row.<Row>getAs("usage").<Double>getAs("prefill_ms")).isPositive();
    }

    @Test
    void theOutputDoesNotDependOnTheNumberOfPartitions() {
        Map<String, String> one = texts(run(builder().build(), LocalSpark.documents(11), 1));
        assertThat(texts(run(builder().build(), LocalSpark.documents(11), 2))).isEqualTo(one);
        assertThat(texts(run(builder().build(), LocalSpark.documents(11), 7))).isEqualTo(one);
        assertThat(one.values().stream().distinct().count()).isGreaterThan(5);
    }

    private static Map<String, String> texts(Map<String, Row> rows) {
        Map<String, String> texts = new TreeMap<>();
        rows.forEach((id, row) -> texts.put(id, row.getAs("generation")));
        return texts;
    }

    @Test
    void badRowsBecomeErrorRowsAndTheOthersGoOn() {
        List<Row> documents = new ArrayList<>(LocalSpark.documents(3));
        documents.add(RowFactory.create("null", null, 1));
        documents.add(RowFactory.create("empty", "  ", 1));
        documents.add(RowFactory.create("long", "word ".repeat(900), 1));
        Map<String, Row> rows = run(builder().build(), documents, 2);
        assertThat(rows).hasSize(6);
        assertThat(rows.get("null").<String>getAs("error")).isEqualTo("column 'text' is null");
        assertThat(rows.get("empty").<String>getAs("error")).isEqualTo("column 'text' is empty");
        assertThat(rows.get("long").<String>getAs("error"))
                .contains("the prompt has ")
                .contains("the limit is 595: 600 less 5 for the output");
        assertThat(rows.get("long").<String>getAs("status")).isEqualTo("error");
        assertThat(rows.get("d2").<String>getAs("status")).isEqualTo("ok");
    }

    @Test
    void truncationKeepsTheInstructionAndMarksTheRow() {
        String text = "start " + "middle ".repeat(900) + " end";
        List<Row> document = List.of(RowFactory.create("long", text, 1));
        for (OnTooLong policy : List.of(OnTooLong.TRUNCATE_HEAD, OnTooLong.TRUNCATE_TAIL, OnTooLong.TRUNCATE_MIDDLE)) {
            Row row = run(
                            builder()
                                    .prompt("Read {text} and answer.")
                                    .onTooLong(policy)
                                    .build(),
                            document,
                            1)
                    .get("long");
            assertThat(row.<String>getAs("status")).isEqualTo("truncated");
            assertThat(row.<Integer>getAs("prompt_tokens")).isBetween(580, 595);
        }
    }

    @Test
    void tasksShareOneEngineAndAnotherConfigurationIsRefused() {
        int before = ExecutorEngine.started();
        run(builder().build(), LocalSpark.documents(4), 4);
        run(builder().build(), LocalSpark.documents(4), 4);
        assertThat(ExecutorEngine.started() - before).isLessThanOrEqualTo(1);
        Dataset<Row> other = builder().maxBatch(3).build().transform(LocalSpark.dataset(LocalSpark.documents(2), 1));
        assertThatThrownBy(other::collectAsList).hasStackTraceContaining("max-batch = 0, but 3 is asked for");
    }

    @Test
    void unknownColumnsAreNamedWithTheNearest() {
        Dataset<Row> input = LocalSpark.dataset(LocalSpark.documents(1), 1);
        assertThatThrownBy(() -> builder().prompt("{txt}").build().transform(input))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("prompt: there is no column 'txt'; the nearest is text, the columns are id, text, rank");
    }
}
