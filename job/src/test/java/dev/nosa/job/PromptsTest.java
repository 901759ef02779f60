package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Several prompts over the tiny model, whose tokens are bytes. */
class PromptsTest extends JobFixture {
    private static final String LONG = "some words of a document ".repeat(10);

    private static Path input;
    private static Path prompts;

    @BeforeAll
    static void writeInput() throws IOException {
        input = write(
                "input.jsonl",
                "{\"id\":\"a\",\"text\":\"" + LONG
                        + "\",\"title\":\"one\"}\n{\"id\":\"b\",\"text\":\"short\",\"title\":null}\n");
        prompts = write(
                "prompts.conf",
                "# asked about each document\nsummary = \"{text} Sum up.\"\ntopic = \"\"\"{text}\nTopic?\"\"\"\nabout = \"{text} {title}\"\n");
    }

    private static CommandRun run(Path documents, Path output, String... more) {
        String[] options = Arrays.copyOf(more, more.length + 1);
        options[more.length] = "--prompts=" + prompts;
        return runWithoutPrompt(documents, output, options);
    }

    private static CommandRun runWithoutPrompt(Path documents, Path output, String... more) {
        List<String> args = new java.util.ArrayList<>(List.of(
                "generate",
                "--model=" + model,
                "--max-new-tokens=4",
                "--threads=2",
                "--input=" + documents,
                "--output=" + output));
        args.addAll(Arrays.asList(more));
        return CommandRun.of(args.toArray(String[]::new));
    }

    /** By id and prompt. */
    private static Map<String, Row> answers(Path output) {
        Map<String, Row> rows = new TreeMap<>();
        for (Row row : spark.read().parquet(output.toString()).collectAsList()) {
            rows.put(row.getAs("id") + "/" + row.getAs("prompt"), row);
        }
        return rows;
    }

    private static Object usage(Row row, String field) {
        return row.<Row>getAs("usage").getAs(field);
    }

    @Test
    void everyPromptHasARowThatASeparateRunWouldGive() {
        Path output = folder.resolve("rows");
        CommandRun run = run(input, output, "--pass-through=title", "--max-error-rate=0.5", "--show=2");
        assertThat(run.err()).doesNotContain("nosa: error");
        assertThat(run.code()).isZero();
        Map<String, Row> answers = answers(output);
        assertThat(answers.keySet())
                .containsExactly("a/about", "a/summary", "a/topic", "b/about", "b/summary", "b/topic");
        assertThat(answers.get("a/topic").<String>getAs("title")).isEqualTo("one");
        assertThat(answers.get("b/about").<String>getAs("error"))
                .isEqualTo("column 'title' is null, which the prompt refers to");
        assertThat(run.out())
                .contains("--- a: summary (ok)")
                .contains("--- b: topic (ok)")
                .contains("6: 5 ok, 0 truncated, 1 errors")
                .contains("of them computed for another row");

        Path alone = folder.resolve("alone");
        assertThat(generate(input, alone, "--prompt={text}\nTopic?").code()).isZero();
        for (String id : List.of("a", "b")) {
            assertThat(answers.get(id + "/topic").<String>getAs("generation"))
                    .isEqualTo(read(alone).get(id).getAs("generation"));
        }
        assertThat(usage(answers.get("a/summary"), "shared_tokens")).isEqualTo(0);
        assertThat((Integer) usage(answers.get("a/topic"), "shared_tokens")).isGreaterThan(LONG.length() * 9 / 10);
    }

    @Test
    void aPromptCanBeAColumn() {
        Path output = folder.resolve("columns");
        CommandRun run = run(input, output, "--prompts-output=columns", "--pass-through=title", "--max-error-rate=0.5");
        assertThat(run.err()).doesNotContain("nosa: error");
        assertThat(run.out()).contains("6: 5 ok, 0 truncated, 1 errors");
        Path rows = folder.resolve("columns-as-rows");
        assertThat(run(input, rows, "--max-error-rate=0.5").code()).isZero();

        Map<String, Row> written = read(output);
        assertThat(written.get("a").schema().fieldNames())
                .containsExactly("id", "title", "summary", "topic", "about", "wave");
        answers(rows).forEach((key, row) -> {
            Row column = written.get(row.<String>getAs("id")).getAs(row.<String>getAs("prompt"));
            for (String field : List.of("generation", "status", "error", "finish_reason", "prompt_tokens")) {
                assertThat(column.<Object>getAs(field)).as(key + " " + field).isEqualTo(row.getAs(field));
            }
        });
        assertThat(spark.read().parquet(output.toString()).select("id", "topic.generation", "about.usage.prefill_ms"))
                .satisfies(selected -> assertThat(selected.count()).isEqualTo(2));
    }

    @Test
    void aDocumentThatIsTooLongForOnePromptIsCutForAllAlike() throws IOException {
        Path documents =
                write("long.jsonl", "{\"id\":\"long\",\"text\":\"" + "word ".repeat(200) + "\",\"title\":\"t\"}\n");
        Path output = folder.resolve("cut");
        assertThat(run(documents, output, "--on-too-long=truncate-tail").code()).isZero();
        Map<String, Row> answers = answers(output);
        assertThat(answers.values()).allMatch(row -> row.getAs("status").equals("truncated"));
        Set<Integer> shared = answers.values().stream()
                .map(row -> (Integer) usage(row, "shared_tokens"))
                .collect(Collectors.toCollection(TreeSet::new));
        assertThat(shared).hasSize(2).contains(0).allMatch(tokens -> tokens == 0 || tokens > 550);
    }

    @Test
    void equalRowsAreComputedOnceAndGetEqualText() throws IOException {
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < 12; i++) {
            lines.append("{\"id\":\"r").append(i).append("\",\"text\":\"").append(i % 3 == 0 ? LONG : "other " + i % 3);
            lines.append("\",\"title\":\"t\"}\n");
        }
        Path documents = write("copies.jsonl", lines.toString());
        Path output = folder.resolve("deduped");
        String[] options = {"--dedupe", "--temperature=1", "--seed=5", "--partitions=3"};
        assertThat(run(documents, output, options).code()).isZero();
        Map<String, Row> answers = answers(output);
        assertThat(answers).hasSize(36);
        for (String prompt : List.of("summary", "topic", "about")) {
            for (int kind = 0; kind < 3; kind++) {
                int first = kind;
                Set<String> texts = new TreeSet<>();
                int computed = 0;
                for (int i = first; i < 12; i += 3) {
                    Row row = answers.get("r" + i + "/" + prompt);
                    texts.add(row.getAs("generation"));
                    computed += usage(row, "shared_tokens").equals(row.getAs("prompt_tokens")) ? 0 : 1;
                }
                assertThat(texts).hasSize(1);
                assertThat(computed).isEqualTo(1);
            }
        }
        Path again = folder.resolve("deduped-again");
        assertThat(run(documents, again, "--dedupe", "--temperature=1", "--seed=5", "--partitions=1", "--limit=2")
                        .code())
                .isZero();
        answers(again)
                .forEach((key, row) -> assertThat(row.<String>getAs("generation"))
                        .isEqualTo(answers.get(key).getAs("generation")));
    }

    @Test
    void onePromptCanBeDedupedToo() throws IOException {
        Path documents = write("twins.jsonl", "{\"id\":\"x\",\"text\":\"same\"}\n{\"id\":\"y\",\"text\":\"same\"}\n");
        Path output = folder.resolve("twins");
        assertThat(runWithoutPrompt(documents, output, "--prompt={text}?", "--dedupe")
                        .code())
                .isZero();
        Map<String, Row> rows = read(output);
        assertThat(rows.get("y").<String>getAs("generation"))
                .isEqualTo(rows.get("x").getAs("generation"));
        assertThat(usage(rows.get("x"), "shared_tokens")).isEqualTo(0);
        assertThat(usage(rows.get("y"), "shared_tokens"))
                .isEqualTo(rows.get("y").getAs("prompt_tokens"));
    }

    private static String error(String name, String content) throws IOException {
        Path file = write(name, content);
        return runWithoutPrompt(input, folder.resolve("out"), "--prompts=" + file)
                .usageError();
    }

    @Test
    void anUnknownColumnNamesThePromptAndTheNearestColumn() throws IOException {
        assertThat(error("unknown.conf", "good = \"{text}\"\nsummary = \"{text} {titel}\"\n"))
                .isEqualTo("nosa: error: prompt 'summary': the input has no column 'titel'; did you mean 'title'?; its"
                        + " columns: id, text, title (--prompts)");
    }

    @Test
    void aPromptWithoutTheDocumentIsAnError() throws IOException {
        assertThat(error("textless.conf", "a = \"{text}\"\nb = \"{title}\"\n"))
                .isEqualTo("nosa: error: prompts: prompt 'b': must refer to the text column, {text} (--prompts)");
    }

    @Test
    void aFileOfPromptsThatIsNotThereIsAnError() {
        assertThat(runWithoutPrompt(input, folder.resolve("out"), "--prompts=/no/such.conf")
                        .usageError())
                .isEqualTo("nosa: error: cannot read /no/such.conf (--prompts)");
    }

    @Test
    void aFileWithoutPromptsIsAnError() throws IOException {
        Path file = folder.resolve("empty.conf");
        for (String content : List.of("", "# nothing\n", "{}")) {
            assertThat(error("empty.conf", content))
                    .isEqualTo("nosa: error: " + file
                            + " holds no prompts; write one a line, as in: name = \"{text} ...\" (--prompts)");
        }
    }

    @Test
    void aFileThatCannotBeParsedIsAnErrorWithItsLine() throws IOException {
        assertThat(error("broken.conf", "a = \"{text}\"\nb = [1, \n"))
                .startsWith("nosa: error: " + folder.resolve("broken.conf") + " is neither HOCON nor JSON: line 3")
                .endsWith("(--prompts)");
    }

    @Test
    void aNameThatOccursTwiceIsAnError() throws IOException {
        Path file = folder.resolve("twice.conf");
        assertThat(error("twice.conf", "a = \"{text}\"\nb = \"{text}!\"\na = \"{text}?\"\n"))
                .isEqualTo("nosa: error: " + file + ": the prompt 'a' occurs twice; rename one (--prompts)");
        assertThat(error("twice.conf", "{\"a\": \"{text}\", \"a\": \"{text}\"}"))
                .isEqualTo("nosa: error: " + file + ": the prompt 'a' occurs twice; rename one (--prompts)");
        assertThat(error("twice.conf", "Tone = \"{text}\"\ntone = \"{text}!\"\n"))
                .isEqualTo("nosa: error: " + file
                        + ": the prompts 'Tone' and 'tone' differ in case alone; rename one (--prompts)");
    }

    @Test
    void aPromptThatIsNoTemplateIsAnErrorWithItsName() throws IOException {
        Path file = folder.resolve("bad.conf");
        assertThat(error("bad.conf", "a = \"{text}\"\nb = \"{text\"\n"))
                .isEqualTo("nosa: error: " + file
                        + ": prompt 'b': '{' at character 1 is never closed; write {{ for a brace (--prompts)");
        assertThat(error("bad.conf", "a = [\"{text}\"]"))
                .isEqualTo("nosa: error: " + file + ": the prompt 'a' must be a text, is list (--prompts)");
        assertThat(error("bad.conf", "\"a b\" = \"{text}\""))
                .isEqualTo("nosa: error: " + file
                        + ": the name 'a b' must have letters, digits, _ and - alone (--prompts)");
    }

    @Test
    void promptsExcludeAPromptAndColumnsNeedThem() {
        assertThat(run(input, folder.resolve("out"), "--prompt={text}").usageError())
                .isEqualTo(
                        "nosa: error: give either one prompt or a file of several, not both (--prompt or --prompts)");
        assertThat(runWithoutPrompt(input, folder.resolve("out"), "--prompt={text}", "--prompts-output=columns")
                        .usageError())
                .isEqualTo("nosa: error: columns needs the named prompts of --prompts (--prompts-output)");
        assertThat(run(input, folder.resolve("out"), "--prompts-output=cols").usageError())
                .isEqualTo("nosa: error: unknown layout 'cols'; known: rows, columns (--prompts-output)");
    }

    @Test
    void aNameThatIsAnOutputColumnIsAnError() throws IOException {
        Path file = write("clash.conf", "id = \"{text}\"\nb = \"{text}!\"\n");
        assertThat(runWithoutPrompt(input, folder.resolve("out"), "--prompts=" + file, "--prompts-output=columns")
                        .usageError())
                .isEqualTo(
                        "nosa: error: prompts: the output has a column 'id' of its own; take another name (--prompts)");
    }
}
