package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.nosa.testkit.TinyModel;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NosaScoreTest {
    @TempDir
    static Path model;

    @BeforeAll
    static void writeModel() throws IOException {
        ExecutorEngine.close();
        TinyModel.builder().maxPositions(600).write(model);
    }

    @AfterAll
    static void closeEngine() {
        ExecutorEngine.close();
    }

    @Test
    void everyContinuationHasALogProbabilityForEachToken() {
        Map<String, Row> rows = run(List.of(" yes", " \u4e2d"), 2);

        assertThat(rows).hasSize(8);
        rows.forEach((id, row) -> {
            List<Row> scores = row.getList(row.fieldIndex("scores"));
            assertThat(row.<String>getAs("status"))
                    .as(row.<String>getAs("error"))
                    .isEqualTo("ok");
            assertThat(scores.stream().map(score -> score.getString(0))).containsExactly(" yes", " \u4e2d");
            int tokens = 0;
            for (Row score : scores) {
                List<Float> logProbs = score.getList(4);
                double sum = logProbs.stream().mapToDouble(Float::doubleValue).sum();
                assertThat(logProbs).hasSize(score.getInt(1)).allMatch(logProb -> logProb < 0);
                assertThat(score.getDouble(2)).isCloseTo(sum, within(1e-9));
                assertThat(score.getDouble(3)).isCloseTo(sum / logProbs.size(), within(1e-9));
                tokens += logProbs.size();
            }
            assertThat(row.<Integer>getAs("output_tokens")).isEqualTo(tokens);
        });
    }

    @Test
    void scoresDependNeitherOnPartitionsNorOnTheOtherContinuations() {
        Map<String, List<Float>> alone = logProbs(run(List.of(" no"), 1), 0);

        assertThat(logProbs(run(List.of(" no"), 7), 0)).isEqualTo(alone);
        assertThat(logProbs(run(List.of(" yes", " no"), 2), 1)).isEqualTo(alone);
    }

    private static Map<String, Row> run(List<String> continuations, int partitions) {
        NosaScore score = NosaScore.builder(model.toString())
                .prompt("{text} Is it?")
                .continuations(continuations.toArray(String[]::new))
                .threads(2)
                .build();
        return LocalSpark.byId(score.transform(LocalSpark.dataset(LocalSpark.documents(8), partitions)));
    }

    private static Map<String, List<Float>> logProbs(Map<String, Row> rows, int continuation) {
        Map<String, List<Float>> logProbs = new HashMap<>();
        rows.forEach((id, row) -> {
            List<Row> scores = row.getList(row.fieldIndex("scores"));
            logProbs.put(id, scores.get(continuation).getList(4));
        });
        return logProbs;
    }
}
