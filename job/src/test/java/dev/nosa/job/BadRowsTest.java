package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.spark.ExecutorEngine;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

/** Documents that cannot run: rows with an error, and the job goes on. */
class BadRowsTest extends JobFixture {
    private static String error(Row row) {
        assertThat(row.<String>getAs("status")).isEqualTo("error");
        assertThat(row.<String>getAs("generation")).isNull();
        return row.getAs("error");
    }

    @Test
    void aNullOrEmptyTextIsAnErrorRow() throws IOException {
        Path input = write(
                "empty.jsonl",
                "{\"id\":\"null\",\"text\":null}\n{\"id\":\"none\"}\n{\"id\":\"blank\",\"text\":\" \\n\"}\n"
                        + "{\"id\":\"good\",\"text\":\"words\"}\n");
        Path output = folder.resolve("from-empty");
        assertThat(generate(input, output, "--max-error-rate=0.75").code()).isZero();
        Map<String, Row> rows = read(output);
        assertThat(rows).hasSize(4);
        assertThat(error(rows.get("null"))).isEqualTo("column 'text' is null");
        assertThat(error(rows.get("none"))).isEqualTo("column 'text' is null");
        assertThat(error(rows.get("blank"))).isEqualTo("column 'text' is empty");
        assertThat(rows.get("good").<String>getAs("status")).isEqualTo("ok");
    }

    @Test
    void aDocumentThatNeverFitsTheHostMemoryIsAnErrorRow() throws IOException {
        ExecutorEngine.close();
        Path input = write(
                "large.jsonl",
                "{\"id\":\"large\",\"text\":\"" + "word ".repeat(100) + "\"}\n{\"id\":\"small\",\"text\":\"x\"}\n");
        Path output = folder.resolve("from-large");
        CommandRun run = generate(input, output, "--host-kv=64k", "--max-error-rate=0.5");
        assertThat(run.err()).doesNotContain("nosa: error");
        assertThat(error(read(output).get("large"))).contains("host-kv");
        assertThat(read(output).get("small").<String>getAs("status")).isEqualTo("ok");
        ExecutorEngine.close();
    }

    @Test
    void noDocumentsGiveAnEmptyOutput() {
        Path input = folder.resolve("none.parquet");
        spark.createDataFrame(
                        java.util.List.of(),
                        new StructType().add("id", DataTypes.StringType).add("text", DataTypes.StringType))
                .write()
                .parquet(input.toString());
        Path output = folder.resolve("from-none");
        CommandRun run = generate(input, output);
        assertThat(run.err()).doesNotContain("nosa: error");
        assertThat(run.code()).isZero();
        assertThat(run.out()).contains("0: 0 ok, 0 truncated, 0 errors");
        assertThat(read(output)).isEmpty();
    }
}
