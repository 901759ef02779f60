package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BinaryOperator;
import javax.imageio.ImageIO;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Evaluations of the tiny model, whose answers are taken from a run of {@code nosa generate}. */
class EvalJobTest extends JobFixture {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final List<String> IDS = List.of("q1", "q2", "q3", "q4");

    private static Path generated;
    private static Map<String, String> generations;

    @BeforeAll
    static void generateAnswers() throws IOException {
        generated = folder.resolve("generated");
        CommandRun run = generate(questions("unanswered.jsonl", Map.of()), generated, "--prompt={text}\n\n{question}");
        assertThat(run.code()).isZero();
        generations = new TreeMap<>();
        read(generated).forEach((id, row) -> generations.put(id, row.getAs("generation")));
    }

    /** Four questions about two texts; those without an answer expect what no model says. */
    private static Path questions(String name, Map<String, String> answers) throws IOException {
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < IDS.size(); i++) {
            lines.append(JSON.writeValueAsString(Map.of(
                            "id",
                            IDS.get(i),
                            "title",
                            "Title " + i,
                            "text",
                            "the words of the " + (i % 2 == 0 ? "first" : "second") + " text",
                            "task",
                            i < 2 ? "single" : "own",
                            "context",
                            i < 3 ? 64 : 128,
                            "depth",
                            i / 4.0,
                            "question",
                            "What is it, number " + i + "?",
                            "answer",
                            answers.getOrDefault(IDS.get(i), "nothing of this kind"))))
                    .append('\n');
        }
        return write(name, lines.toString());
    }

    /** Rows of id and generation. */
    private static Path run(String name, BinaryOperator<String> textOfIdAndGeneration) throws IOException {
        StringBuilder lines = new StringBuilder();
        for (String id : IDS) {
            String text = textOfIdAndGeneration.apply(id, generations.get(id));
            lines.append(JSON.writeValueAsString(Map.of("id", id, "generation", text)))
                    .append('\n');
        }
        return write(name, lines.toString());
    }

    private static CommandRun eval(Path input, String output, String... more) {
        List<String> args = new ArrayList<>(List.of("eval", "--input=" + input, "--tasks=own"));
        args.addAll(
                List.of("--model=" + model, "--threads=2", "--max-new-tokens=4", "--output=" + folder.resolve(output)));
        args.addAll(Arrays.asList(more));
        return CommandRun.of(args.toArray(String[]::new));
    }

    private static String lastLine(CommandRun run) {
        return run.out().lines().reduce("", (before, line) -> line);
    }

    @Test
    void theSharesOfRightAnswersAreWrittenAndPrinted() throws IOException {
        Map<String, String> answers = new TreeMap<>(generations);
        answers.remove("q2");
        Path report = folder.resolve("eval.json");
        Path heatMap = folder.resolve("map.png");
        CommandRun run = eval(
                questions("questions.jsonl", answers),
                "evaluated",
                "--report=" + report,
                "--heat-map=" + heatMap,
                "--pass-through=title");
        assertThat(run.err()).doesNotContain("nosa: error");
        assertThat(run.code()).isZero();
        assertThat(lastLine(run)).isEqualTo("exact match: 3 of 4 answers are right (75.0 %)");
        assertThat(run.out())
                .contains("4: 4 ok, 0 truncated, 0 errors")
                .containsPattern("Title 1 .*What is it, number 1\\? .* wrong\n    expected: nothing of this kind")
                .containsPattern("Title 2 .* right")
                .containsPattern("single +50.0 +- +50.0 +2")
                .containsPattern("50 to 60 % +100.0 +- +100.0 +1");

        Map<String, Row> rows = read(folder.resolve("evaluated"));
        assertThat(rows.keySet()).containsExactlyElementsOf(IDS);
        assertThat(rows.get("q1").schema().fieldNames())
                .startsWith("id", "task", "context", "depth", "question", "answer", "title", "generation", "status")
                .endsWith("usage", "correct", "wave");
        assertThat(rows.get("q1").<Boolean>getAs("correct")).isTrue();
        assertThat(rows.get("q2").<Boolean>getAs("correct")).isFalse();
        assertThat(rows.get("q4").<Integer>getAs("context")).isEqualTo(128);

        JsonNode figures = JSON.readTree(report.toFile());
        assertThat(figures.path("command").asText())
                .startsWith("nosa eval --input=")
                .contains("--tasks=own");
        assertThat(figures.path("mode").asText()).isEqualTo("nosa");
        assertThat(figures.at("/by_task/single/share").asDouble()).isEqualTo(0.5);
        assertThat(ImageIO.read(heatMap.toFile())).isNotNull();
    }

    @Test
    void aRowThatFailsIsWrongAndItsErrorIsShown() throws IOException {
        Path input = write(
                "fails.csv",
                "id,document,task,question,answer\n1,short text,single,q?,x\n2," + "word ".repeat(800)
                        + ",single,q?,x\n");
        CommandRun run = eval(input, "failed", "--text-column=document", "--max-error-rate=0.5");
        assertThat(run.err()).doesNotContain("nosa: error");
        assertThat(run.code()).isZero();
        assertThat(run.out()).containsPattern(" error\n    error: the prompt has \\d+ tokens");
        assertThat(run.out()).containsPattern("exact match, % +(16|32|64) +unknown +all +questions");
        Map<String, Row> rows = read(folder.resolve("failed"));
        assertThat(rows.get("2").<Boolean>getAs("correct")).isFalse();
        assertThat(rows.get("2").<Integer>getAs("context")).isNull();
        assertThat(rows.get("1").<Integer>getAs("context"))
                .isEqualTo(Question.contextOf(rows.get("1").getAs("prompt_tokens")));
    }

    @Test
    void anEarlierRunIsScoredWithoutAModel() throws IOException {
        Path input = questions("again.jsonl", generations);
        CommandRun run =
                CommandRun.of("eval", "--input=" + input, "--tasks=own", "--answers=" + generated, "--fail-under=1");
        assertThat(run.err()).isEmpty();
        assertThat(run.code()).isZero();
        assertThat(lastLine(run)).isEqualTo("exact match: 4 of 4 answers are right (100.0 %)");

        Path wrong = run("wrong.jsonl", (id, text) -> id.equals("q3") ? "something else" : text + "\n");
        run = CommandRun.of("eval", "--input=" + input, "--tasks=own", "--answers=" + wrong, "--fail-under=0.8");
        assertThat(lastLine(run)).isEqualTo("exact match: 3 of 4 answers are right (75.0 %)");
        assertThat(run.code()).isEqualTo(1);
        assertThat(run.err())
                .isEqualToIgnoringNewLines(
                        "nosa: error: 3 of 4 answers are right, less than the share of 0.8 (--fail-under)");
    }

    @Test
    void aRunIsComparedWithAnother() throws IOException {
        Path input = questions("compared.jsonl", Map.of());
        CommandRun run = eval(input, "equal", "--compare=" + generated);
        assertThat(run.code()).isZero();
        assertThat(run.out()).contains("4 of 4 generations are equal to those of " + generated);

        Path other = run("other.jsonl", (id, text) -> id.equals("q3") ? "something else" : text);
        run = eval(input, "different", "--compare=" + other);
        assertThat(run.code()).isEqualTo(1);
        assertThat(run.out()).contains("3 of 4 generations are equal", "'q3'", "    there  \"something else\"");
        assertThat(run.err())
                .contains("1 of 4 generations differ from those of " + other + ", such as 'q3' (--compare)");
    }

    @Test
    void aLimitTakesTheFirstQuestions() throws IOException {
        CommandRun run = eval(questions("limited.jsonl", generations), "limited", "--limit=3", "--show=1");
        assertThat(run.code()).isZero();
        assertThat(run.out()).contains("and 2 more, of these 0 wrong");
        assertThat(lastLine(run)).isEqualTo("exact match: 3 of 3 answers are right (100.0 %)");
    }
}
