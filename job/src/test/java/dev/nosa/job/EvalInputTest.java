package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

/** Question sets and options that cannot be scored: refused before the model runs, in one line that names the row. */
class EvalInputTest extends JobFixture {
    private static final String GOOD = row("a", "single", "\"q\"", "\"1\"", "");

    private static String row(String id, String task, String question, String answer, String more) {
        return "{\"id\":\"%s\",\"text\":\"one two\",\"task\":\"%s\",\"question\":%s,\"answer\":%s%s}\n"
                .formatted(id, task, question, answer, more);
    }

    private static String error(Path input, String... more) {
        List<String> args = new ArrayList<>(List.of("eval", "--input=" + input));
        if (Arrays.stream(more).noneMatch(option -> option.startsWith("--answers"))) {
            args.addAll(List.of("--output=" + folder.resolve("out"), "--model=" + model));
        }
        args.addAll(List.of(more));
        String error = CommandRun.of(args.toArray(String[]::new)).usageError();
        assertThat(folder.resolve("out")).doesNotExist();
        return error;
    }

    private static String errorOf(String questions, String... more) throws IOException {
        return error(write("questions.jsonl", questions), more);
    }

    @Test
    void aQuestionWithoutAnAnswerIsNamed() throws IOException {
        assertThat(errorOf(GOOD + row("b", "single", "\"q\"", "null", "") + row("c", "single", "\"q\"", "\" \"", "")))
                .isEqualTo(
                        "nosa: error: 2 of 3 questions cannot be scored: row 2 ('b'): no answer; row 3 ('c'): no answer"
                                + " (--input)");
    }

    @Test
    void aMissingQuestionIsNamed() throws IOException {
        assertThat(errorOf(GOOD + row("b", "single", "null", "\"1\"", "")))
                .contains("row 2 ('b'): no question (--input)");
    }

    @Test
    void anUnknownTaskIsNamedWithTheKnownOnes() throws IOException {
        assertThat(errorOf(GOOD + row("b", "sngle", "\"q\"", "\"1\"", "")))
                .contains("row 2 ('b'): unknown task 'sngle'; did you mean 'single'?")
                .contains("known tasks: single, multikey, multivalue, multiquery, variables, and those of --tasks")
                .endsWith("(--input)");
        assertThat(errorOf(row("b", "dates", "\"q\"", "null", ""), "--tasks=summary,dates"))
                .contains("no answer")
                .doesNotContain("unknown task");
    }

    @Test
    void aDuplicateIdIsNamed() throws IOException {
        assertThat(errorOf(GOOD + GOOD)).contains("row 2 ('a'): an earlier row has the same id");
    }

    @Test
    void aRowWithoutAnIdIsNamedByItsPlace() throws IOException {
        assertThat(errorOf(GOOD + GOOD.replace("\"a\"", "null"))).contains("row 2: no id");
    }

    @Test
    void depthsOutsideTheDocumentAreNamed() throws IOException {
        assertThat(errorOf(row("a", "single", "\"q\"", "\"1\"", ",\"depth\":1.01")))
                .contains("row 1 ('a'): depth = 1.01: must be a number from 0 to 1");
        assertThat(errorOf(row("a", "single", "\"q\"", "\"1\"", ",\"depth\":\"deep\"")))
                .contains("depth = deep: must be");
    }

    @Test
    void lengthsThatAreNotPositiveAreNamed() throws IOException {
        assertThat(errorOf(row("a", "single", "\"q\"", "\"1\"", ",\"context\":0")))
                .contains("row 1 ('a'): context = 0: must be a whole number above 0");
        assertThat(errorOf(row("a", "single", "\"q\"", "\"1\"", ",\"context\":20.5")))
                .contains("context = 20.5: must be");
    }

    @Test
    void aMalformedRowIsNamed() throws IOException {
        assertThat(errorOf(GOOD + "{\"id\":\"b\",\n")).contains("row 2: malformed JSON line: {\"id\":\"b\",");
    }

    @Test
    void ofManyBadRowsTheFirstAreNamedAndTheRestCounted() throws IOException {
        StringBuilder rows = new StringBuilder(GOOD);
        for (int i = 0; i < 7; i++) {
            rows.append(row("b" + i, "single", "\"q\"", "null", ""));
        }
        assertThat(errorOf(rows.toString()))
                .contains("7 of 8 questions")
                .contains("('b4')")
                .doesNotContain("('b5')")
                .contains("; and 2 more");
    }

    @Test
    void aMissingColumnIsNamed() throws IOException {
        assertThat(errorOf(GOOD.replace("\"answer\"", "\"anser\"")))
                .contains("no column 'answer'; did you mean 'anser'?")
                .endsWith("(--input)");
        assertThat(errorOf(GOOD.replace("\"question\"", "\"q\""))).contains("no column 'question'");
        assertThat(errorOf(GOOD.replace("\"task\"", "\"kind\""))).contains("no column 'task'");
        assertThat(errorOf(GOOD.replace("\"id\"", "\"key\"")))
                .contains("no column 'id'")
                .endsWith("(--id-column)");
        assertThat(errorOf(GOOD, "--text-column=document"))
                .contains("'document'")
                .endsWith("(--text-column)");
    }

    @Test
    void anAnswerThatIsNoTextIsAnError() throws IOException {
        assertThat(errorOf(row("a", "single", "\"q\"", "[\"1\"]", "")))
                .contains("column 'answer' is array<string>; it must be a string or a number");
    }

    @Test
    void anEmptyQuestionSetIsAnError() {
        Path empty = folder.resolve("empty.parquet");
        StructType schema = new StructType();
        for (String name : List.of("id", "text", "task", "question", "answer")) {
            schema = schema.add(name, DataTypes.StringType);
        }
        spark.createDataFrame(List.of(), schema).write().parquet(empty.toString());
        assertThat(error(empty)).isEqualTo("nosa: error: the question set is empty (--input)");
    }

    @Test
    void generationsOfOtherQuestionsAreNamedOnBothSides() throws IOException {
        Path other = write(
                "other.jsonl",
                "{\"id\":\"a\",\"generation\":\"1\"}\n{\"id\":\"x\",\"generation\":\"1\"}\n"
                        + "{\"id\":\"y\",\"generation\":\"1\"}\n");
        String questions = GOOD + row("b", "single", "\"q\"", "\"1\"", "");
        for (String option : List.of("--answers", "--compare")) {
            assertThat(errorOf(questions, option + "=" + other))
                    .contains(other + " is of another run")
                    .contains("1 of 2 questions have no generation: 'b'")
                    .contains("2 of 3 generations have no question: 'x', 'y'")
                    .endsWith("(" + option + ")");
        }
    }

    @Test
    void generationsThatCannotBeReadNameTheirOption() throws IOException {
        Path twice = write("twice.jsonl", "{\"id\":\"a\",\"generation\":\"1\"}\n".repeat(2));
        assertThat(errorOf(GOOD, "--answers=" + twice))
                .contains("several generations for 'a'")
                .endsWith("(--answers)");
        Path malformed = write("malformed.jsonl", "{\"id\":\"a\",\"generation\":\"1\"}\n{\"id\"\n");
        assertThat(errorOf(GOOD, "--answers=" + malformed))
                .contains("malformed JSON line")
                .endsWith("(--answers)");
        Path scores = write("scores.jsonl", "{\"id\":\"a\",\"scores\":\"1\"}\n");
        assertThat(errorOf(GOOD, "--compare=" + scores))
                .contains("no column 'generation'")
                .endsWith("(--compare)");
        assertThat(errorOf(GOOD, "--compare=" + folder.resolve("nowhere")))
                .contains("nowhere")
                .endsWith("(--compare)");
        assertThat(errorOf(GOOD, "--answers=" + write("answers.doc", "text"))).endsWith("(--answers)");
    }

    @Test
    void optionsOfTheModelHaveNoMeaningWithAnswers() throws IOException {
        assertThat(errorOf(GOOD, "--answers=x", "--model=" + model)).endsWith("(--model)");
        assertThat(errorOf(GOOD, "--answers=x", "--temperature=1")).endsWith("(--temperature)");
        assertThat(errorOf(GOOD, "--answers=x", "--output=y")).endsWith("(--output)");
        assertThat(errorOf(GOOD, "--answers=x", "--compare=y")).endsWith("(--compare)");
    }

    @Test
    void filesThatCannotBeWrittenAreNamedBeforeTheModelRuns() throws IOException {
        assertThat(errorOf(GOOD, "--report=" + folder)).endsWith("(--report)");
        assertThat(errorOf(GOOD, "--report=" + folder.resolve("nowhere/eval.json")))
                .contains("nowhere/eval.json")
                .endsWith("(--report)");
        assertThat(errorOf(GOOD, "--heat-map=" + folder.resolve("map.png")))
                .contains("no question has a depth")
                .endsWith("(--heat-map)");
    }

    @Test
    void valuesOutOfRangeNameTheirOption() throws IOException {
        assertThat(errorOf(GOOD, "--fail-under=90")).endsWith("(--fail-under)");
        assertThat(errorOf(GOOD, "--show=-1")).endsWith("(--show)");
        assertThat(errorOf(GOOD, "--pass-through=correct")).endsWith("(--pass-through)");
    }
}
