package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

class GenerateJobTest extends JobFixture {
    private static String status(Row row) {
        return row.getAs("status");
    }

    private static String error(Row row) {
        return row.getAs("error");
    }

    @Test
    void parquetInAndParquetOut() {
        Path input = folder.resolve("documents.parquet");
        StructType schema = new StructType()
                .add("key", DataTypes.LongType)
                .add("body", DataTypes.StringType)
                .add("title", DataTypes.StringType);
        spark.createDataFrame(
                        List.of(
                                RowFactory.create(1L, "the first text", "one"),
                                RowFactory.create(2L, "a second text", "two"),
                                RowFactory.create(3L, "and a third", "three")),
                        schema)
                .write()
                .parquet(input.toString());
        Path output = folder.resolve("from-parquet");
        CommandRun run = generate(
                input,
                output,
                "--id-column=key",
                "--text-column=body",
                "--pass-through=title",
                "--prompt={title}: {body}",
                "--show=1");
        assertThat(run.err()).doesNotContain("nosa: error");
        assertThat(run.code()).isZero();
        Map<String, Row> rows = read(output);
        assertThat(rows.keySet()).containsExactly("1", "2", "3");
        assertThat(rows.get("2").<String>getAs("title")).isEqualTo("two");
        assertThat(rows.get("2").<Integer>getAs("output_tokens")).isBetween(1, 4);
        assertThat(run.out())
                .contains("--- 1 (ok)")
                .contains("3: 3 ok, 0 truncated, 0 errors")
                .contains(output.toString());
    }

    @Test
    void aMalformedJsonLineBecomesAnErrorRow() throws IOException {
        Path input = write("lines.jsonl", "{\"id\":\"a\",\"text\":\"good\"}\n{\"id\":\"b\",\"text\n");
        Path output = folder.resolve("from-jsonl");
        CommandRun run = generate(input, output, "--max-error-rate=0.5");
        assertThat(run.code()).isZero();
        Map<String, Row> rows = read(output);
        assertThat(status(rows.remove("a"))).isEqualTo("ok");
        assertThat(rows).hasSize(1);
        rows.forEach((id, row) -> {
            assertThat(id).startsWith("row-");
            assertThat(error(row)).isEqualTo("malformed JSON line: {\"id\":\"b\",\"text");
        });
    }

    @Test
    void csvFieldsMayHoldQuotesAndLineBreaks() throws IOException {
        Path input = write("table.csv", "id,text,note\n1,\"two\nlines, and \"\"quotes\"\"\",x\n2,plain,y\n");
        Path output = folder.resolve("from-csv");
        assertThat(generate(input, output, "--pass-through=text,note").code()).isZero();
        Map<String, Row> rows = read(output);
        assertThat(rows.get("1").<String>getAs("text")).isEqualTo("two\nlines, and \"quotes\"");
        assertThat(rows.get("2").<String>getAs("note")).isEqualTo("y");
    }

    @Test
    void csvLinesMayEndAsOnWindowsAndBlankOnesAreNoRows() throws IOException {
        Path input = write("windows.csv", "id,text\r\n1,one\r\n\r\n2,\"two\r\nlines\"\r\n");
        Path output = folder.resolve("from-windows");
        assertThat(generate(input, output, "--pass-through=text").code()).isZero();
        assertThat(read(output)).containsOnlyKeys("1", "2");
        assertThat(read(output).get("2").<String>getAs("text")).isEqualTo("two\r\nlines");
    }

    @Test
    void aCsvRowWithTooFewOrTooManyColumnsBecomesAnErrorRow() throws IOException {
        Path input = write("ragged.csv", "id,text,note\n1,good,x\n2,short\n3,a,b,c\n4,a,b,c,d\n5,,\n6,\"\",z\n");
        Path output = folder.resolve("from-ragged");
        assertThat(generate(input, output, "--max-error-rate=1", "--pass-through=note")
                        .code())
                .isZero();
        Map<String, Row> rows = read(output);
        assertThat(rows).hasSize(6);
        assertThat(status(rows.remove("1"))).isEqualTo("ok");
        assertThat(error(rows.remove("5"))).isEqualTo("column 'text' is null");
        assertThat(error(rows.remove("6"))).isEqualTo("column 'text' is null");
        assertThat(rows.keySet()).allMatch(id -> id.startsWith("row-"));
        assertThat(rows.values()).allMatch(row -> row.getAs("note") == null);
        String reason = "malformed CSV row, the header has 3 columns: ";
        assertThat(rows.values())
                .extracting(GenerateJobTest::error)
                .containsExactlyInAnyOrder(reason + "2,short", reason + "3,a,b,c", reason + "4,a,b,c,d");
    }

    @Test
    void aCsvQuoteThatIsNeverClosedBecomesAnErrorRowOfAllThatItSwallows() throws IOException {
        Path input = write("quotes.csv", "id,text\n1,a 5\" disk\n2,\"she said \"\"no\"\"\"\n3,\"open\n4,lost\n");
        Path output = folder.resolve("from-quotes");
        assertThat(generate(input, output, "--max-error-rate=0.5").code()).isZero();
        Map<String, Row> rows = read(output);
        assertThat(status(rows.remove("1"))).isEqualTo("ok");
        assertThat(status(rows.remove("2"))).isEqualTo("ok");
        assertThat(rows.values())
                .extracting(GenerateJobTest::error)
                .containsExactly("malformed CSV row, a quote is never closed: 3,\"open 4,lost");
    }

    @Test
    void malformedRowsOfOneKindAreReportedTogether() throws IOException {
        Path input = write("kinds.csv", "id,text\n1,good\nx\ny\nz\n");
        CommandRun run = generate(input, folder.resolve("from-kinds"), "--max-error-rate=1");
        assertThat(run.out()).contains("3 x like document 'row-").doesNotContain("1 x like");
    }

    @Test
    void textFilesAreDocumentsNamedByTheirPath() throws IOException {
        write("texts/a b.txt", "first file");
        write("texts/deep/[1].txt", "second file");
        write("texts/empty.txt", "");
        Files.write(folder.resolve("texts/bad.txt"), new byte[] {'x', (byte) 0xff});
        Path output = folder.resolve("from-text");
        CommandRun run = generate(folder.resolve("texts"), output, "--max-error-rate=0.5");
        assertThat(run.code()).isZero();
        Map<String, Row> rows = read(output);
        assertThat(rows.keySet()).containsExactly("a b.txt", "bad.txt", "deep/[1].txt", "empty.txt");
        assertThat(status(rows.get("deep/[1].txt"))).isEqualTo("ok");
        assertThat(error(rows.get("bad.txt"))).isEqualTo("invalid UTF-8 at byte 1");
        assertThat(error(rows.get("empty.txt"))).contains("empty");
        assertThat(run.out()).contains("4: 2 ok, 0 truncated, 2 errors").contains("1 x like document 'bad.txt'");
    }

    @Test
    void aFileNameWithBracketsIsNoGlob() throws IOException {
        Path input = write("set [1]/doc {a}.txt", "some text");
        Path output = folder.resolve("from [brackets]");
        CommandRun run = generate(input, output);
        assertThat(run.err()).doesNotContain("nosa: error");
        assertThat(run.code()).isZero();
        assertThat(read(output).keySet()).containsExactly("doc {a}.txt");
    }

    @Test
    void aGlobTakesWhatMatches() throws IOException {
        write("glob/x1.txt", "one");
        write("glob/x2.txt", "two");
        write("glob/y1.txt", "three");
        Path output = folder.resolve("from-glob");
        assertThat(generate(folder.resolve("glob/x*.txt"), output).code()).isZero();
        assertThat(read(output).keySet()).containsExactly("x1.txt", "x2.txt");
    }

    @Test
    void rowsWithoutIdsGetTheSameOnesForAnyPartitioning() throws IOException {
        Path input = write(
                "anonymous.jsonl",
                "{\"text\":\"same\"}\n{\"text\":\"other\"}\n{\"text\":\"same\"}\n{\"text\":\"same\"}\n");
        Path one = folder.resolve("ids-1");
        Path three = folder.resolve("ids-3");
        assertThat(generate(input, one, "--partitions=1").code()).isZero();
        assertThat(generate(input, three, "--partitions=3").code()).isZero();
        assertThat(read(one)).hasSize(4);
        assertThat(read(three).keySet()).isEqualTo(read(one).keySet());
        assertThat(read(one).keySet()).anyMatch(id -> id.endsWith("-3"));
    }

    @Test
    void tooLongDocumentsFollowThePolicy() throws IOException {
        Path input = write(
                "long.jsonl",
                "{\"id\":\"long\",\"text\":\"" + "word ".repeat(800) + "\"}\n{\"id\":\"s\",\"text\":\"x\"}\n");
        Path refused = folder.resolve("refused");
        CommandRun run = generate(input, refused);
        assertThat(run.code()).isEqualTo(1);
        assertThat(run.err()).contains("nosa: error: 1 of 2 documents failed").contains("(--max-error-rate)");
        assertThat(error(read(refused).get("long"))).contains("tokens");
        assertThat(status(read(refused).get("s"))).isEqualTo("ok");

        Path cut = folder.resolve("cut");
        assertThat(generate(input, cut, "--on-too-long=truncate-middle").code()).isZero();
        assertThat(status(read(cut).get("long"))).isEqualTo("truncated");
    }

    @Test
    void overwriteReplacesTheResults() throws IOException {
        Path input = write("few.jsonl", "{\"id\":\"a\",\"text\":\"x\"}\n{\"id\":\"b\",\"text\":\"y\"}\n");
        Path output = folder.resolve("replaced");
        assertThat(generate(input, output).code()).isZero();
        assertThat(generate(input, output, "--output-mode=overwrite", "--limit=1")
                        .code())
                .isZero();
        assertThat(read(output)).hasSize(1);
        assertThat(folder.toFile().list((dir, name) -> name.startsWith(".replaced")))
                .isEmpty();
    }

    @Test
    void aFailedOverwriteKeepsTheOldResults() throws IOException {
        Path input = write("fails.jsonl", "{\"id\":\"a\",\"text\":\"x\"}\n");
        Path output = folder.resolve("survives");
        assertThat(generate(input, output).code()).isZero();
        // Another configuration than the engine's that this JVM has already: the tasks fail.
        CommandRun run = generate(input, output, "--output-mode=overwrite", "--max-batch=3");
        assertThat(run.code()).isEqualTo(1);
        assertThat(run.err()).contains("nosa: error: ").contains("max-batch");
        assertThat(read(output)).containsOnlyKeys("a");
        assertThat(folder.toFile().list((dir, name) -> name.startsWith(".survives")))
                .isEmpty();
    }

    @Test
    void aConfigFileGivesTheOptions() throws IOException {
        Path input = write("configured.jsonl", "{\"id\":\"a\",\"text\":\"some words\"}\n");
        Path output = folder.resolve("configured");
        Path config =
                write("job.conf", "prompt = \"{text}\"\nmax-new-tokens = 2\nthreads = 2\nmodel = \"" + model + "\"");
        CommandRun run = CommandRun.of("generate", "--input=" + input, "--output=" + output, "--config=" + config);
        assertThat(run.code()).isZero();
        assertThat(read(output).get("a").<Integer>getAs("output_tokens")).isLessThanOrEqualTo(2);
    }

    @Test
    void scoringGivesAnArrayOfScores() throws IOException {
        Path input =
                write("score.jsonl", "{\"id\":\"a\",\"text\":\"yes or no\",\"options\":[\"one\",\"two\",\"three\"]}\n");
        Path output = folder.resolve("scored");
        CommandRun run = CommandRun.of(
                "score",
                "--model=" + model,
                "--threads=2",
                "--input=" + input,
                "--output=" + output,
                "--prompt={text}",
                "--continuations-column=options");
        assertThat(run.err()).doesNotContain("nosa: error");
        assertThat(run.code()).isZero();
        List<Row> scores = read(output).get("a").getList(read(output).get("a").fieldIndex("scores"));
        assertThat(scores)
                .extracting(score -> score.<String>getAs("continuation"))
                .containsExactly("one", "two", "three");
        assertThat(scores)
                .allSatisfy(score -> assertThat(score.<Double>getAs("sum")).isNegative());
    }
}
