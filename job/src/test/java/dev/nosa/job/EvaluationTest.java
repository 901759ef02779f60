package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Scoring, totals and what is printed of them, without a model. */
class EvaluationTest {
    @TempDir
    Path folder;

    static Scored scored(String id, String task, Integer context, Double depth, boolean right) {
        Question question = new Question(id, id, task, context, depth, "What is the number?", "48213");
        return new Scored(question, new Generation(right ? "48213" : "11890", null, 1900));
    }

    /** Two tasks, three lengths, one of them unknown; 4 of 6 are right. */
    private static Evaluation sample() {
        return new Evaluation(List.of(
                scored("a", "variables", 2048, 0.05, true),
                scored("b", "single", 2048, 0.99, true),
                scored("c", "single", 4096, 0.5, false),
                scored("d", "single", 4096, 1.0, true),
                scored("e", "own", 16384, null, false),
                scored("f", "single", 2048, 0.5, true)));
    }

    private static String printed(Consumer<EvalPrinter> print) {
        StringWriter text = new StringWriter();
        print.accept(new EvalPrinter(new PrintWriter(text, true)));
        return text.toString();
    }

    @Test
    void onlyWhiteSpaceAroundAnAnswerMayDiffer() {
        assertThat(Question.isRight(" 48213\n", "48213 ")).isTrue();
        assertThat(Question.isRight("48213.", "48213")).isFalse();
        assertThat(Question.isRight("The Gate", "the gate")).isFalse();
        assertThat(Question.isRight("a  b", "a b")).isFalse();
        assertThat(Question.isRight(null, "48213")).isFalse();
    }

    @Test
    void aRowThatFailedIsWrongWhateverItsText() {
        Question question = new Question("a", "a", "single", 8, null, "?", "1");
        assertThat(new Scored(question, new Generation("1", null, 8)).right()).isTrue();
        assertThat(new Scored(question, new Generation("1", "cancelled", 8)).right())
                .isFalse();
        assertThat(new Scored(question, new Generation(null, null, 8)).right()).isFalse();
    }

    @Test
    void withoutANominalLengthItIsTheNextPowerOfTwo() {
        assertThat(Question.contextOf(1)).isEqualTo(1);
        assertThat(Question.contextOf(2048)).isEqualTo(2048);
        assertThat(Question.contextOf(2049)).isEqualTo(4096);
        assertThat(Question.contextOf(null)).isNull();
        assertThat(scored("a", "single", null, null, true).context()).isEqualTo(2048);
        assertThat(scored("a", "single", 1000, null, true).context()).isEqualTo(1000);
    }

    @Test
    void sharesByTaskHaveTheirTotals() {
        ShareGrid grid = sample().byTask();
        assertThat(grid.names()).containsExactly("single", "variables", "own");
        assertThat(grid.contexts()).containsExactly("2048", "4096", "16384");
        assertThat(grid.at(0, 0)).isEqualTo(new Share(2, 2));
        assertThat(grid.at(0, 1)).isEqualTo(new Share(1, 2));
        assertThat(grid.at(1, 2)).isEqualTo(Share.NONE);
        assertThat(grid.at(0, 3)).isEqualTo(new Share(3, 4));
        assertThat(grid.at(3, 1)).isEqualTo(new Share(1, 2));
        assertThat(grid.at(3, 3)).isEqualTo(sample().total()).isEqualTo(new Share(4, 6));
    }

    @Test
    void depthsFallIntoTenBinsOfWhichTheLastHoldsTheEnd() {
        ShareGrid grid = sample().byDepth();
        assertThat(grid.names()).hasSize(10).startsWith("0 to 10 %").endsWith("90 to 100 %");
        assertThat(grid.contexts()).containsExactly("2048", "4096");
        assertThat(grid.at(0, 0)).isEqualTo(new Share(1, 1));
        assertThat(grid.at(5, 2)).isEqualTo(new Share(1, 2));
        assertThat(grid.at(9, 2)).isEqualTo(new Share(2, 2));
        assertThat(grid.at(10, 2)).isEqualTo(new Share(4, 5));
    }

    @Test
    void withoutAnyDepthThereIsNoTableOfDepths() {
        assertThat(new Evaluation(List.of(scored("a", "single", 1, null, true))).byDepth())
                .isNull();
    }

    @Test
    void aGridIsPrintedWithCountsAtItsMargins() {
        assertThat(printed(printer -> printer.grid("exact match, %", sample().byTask())))
                .isEqualToNormalizingNewlines("""

                        exact match, %   2048  4096  16384    all  questions
                        single          100.0  50.0      -   75.0          4
                        variables       100.0     -      -  100.0          1
                        own                 -     -    0.0    0.0          1
                        all             100.0  50.0    0.0   66.7          6
                        questions           3     2      1      6
                        """);
    }

    @Test
    void longTextsAreShortenedSoThatALineHas120Columns() {
        Question question = new Question(
                "a", "A title of which the end matters less", "single", 8, null, "word\n".repeat(90), "x".repeat(60));
        Scored wrong = new Scored(question, new Generation("y\n\n" + "z ".repeat(40), null, 123456));
        String text = printed(printer -> printer.answers(List.of(wrong), 20));
        assertThat(text.lines()).allMatch(line -> line.length() <= 120).anyMatch(line -> line.length() > 110);
        assertThat(text)
                .contains("A title of whi...rs less  123456  word word word")
                .containsPattern("word.*\\.\\.\\..*word +y z z z z z z \\.\\.\\.z z z z")
                .contains("  wrong", "    expected: xxx");
    }

    @Test
    void answersBeyondTheFirstAreCounted() {
        String text = printed(printer -> printer.answers(sample().answers(), 2));
        assertThat(text.lines()).hasSize(5);
        assertThat(text).contains("and 4 more, of these 2 wrong");
        assertThat(printed(printer -> printer.answers(sample().answers(), 0))).isEmpty();
        assertThat(printed(printer -> printer.answers(sample().answers(), 6))).doesNotContain("more");
    }

    @Test
    void anErrorStandsInFullBelowItsRow() {
        Question question = new Question("a", "a", "single", 8, null, "Why?", "1");
        String error = "the prompt has 70000 tokens, ".repeat(4);
        Scored failed = new Scored(question, new Generation(null, error, null));
        assertThat(printed(printer -> printer.answers(List.of(failed), 20)))
                .contains("a              -  Why?      -       error", "    error: " + error);
    }

    @Test
    void theTotalComesWithItsCounts() {
        assertThat(printed(printer -> printer.total(new Share(4, 6))))
                .contains("exact match: 4 of 6 answers are right (66.7 %)");
    }

    @Test
    void generationsOfTwoRunsAreComparedToTheLetter() {
        Map<String, Generation> theirs = Map.of(
                "a", new Generation("48213", null, null),
                "b", new Generation("48213\n", null, null),
                "c", new Generation(null, "too long", null));
        Evaluation ours = new Evaluation(sample().answers().subList(0, 3));
        Comparison comparison = Comparison.of(ours, "other", theirs);
        assertThat(comparison.equal()).isEqualTo(1);
        assertThat(printed(printer -> printer.comparison(comparison, 20)))
                .contains("1 of 3 generations are equal to those of other")
                .contains("'b'", "    here   \"48213\"", "    there  \"48213\\n\"")
                .contains("'c'", "    here   \"11890\"", "    there  (none)");
        assertThat(printed(printer -> printer.comparison(comparison, 1))).contains("and 1 more that differ");
    }

    @Test
    void theReportHoldsTheFigures() throws IOException {
        Path file = folder.resolve("eval.json");
        Map<String, String> run = Map.of("model", "m", "mode", "nosa");
        new EvalReport("nosa eval", run, sample(), null).write(file);
        JsonNode report = new ObjectMapper().readTree(file.toFile());
        assertThat(report.path("command").asText()).isEqualTo("nosa eval");
        assertThat(report.path("model").asText()).isEqualTo("m");
        assertThat(report.path("mode").asText()).isEqualTo("nosa");
        assertThat(report.path("date").asText()).matches("\\d{4}-\\d\\d-\\d\\d");
        assertThat(report.at("/exact_match/right").asInt()).isEqualTo(4);
        assertThat(report.at("/exact_match/total").asInt()).isEqualTo(6);
        assertThat(report.at("/by_task/single/share").asDouble()).isEqualTo(0.75);
        assertThat(report.at("/by_context/16384/right").asInt()).isZero();
        assertThat(report.at("/by_depth/90 to 100 %/total").asInt()).isEqualTo(2);
        assertThat(report.at("/by_depth_and_context/10 to 20 %/2048/share").isNull())
                .isTrue();
        assertThat(report.has("compared")).isFalse();
    }
}
