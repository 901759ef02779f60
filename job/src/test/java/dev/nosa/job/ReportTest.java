package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the report of a run says. */
class ReportTest extends JobFixture {
    private static JsonNode report(Path output) throws IOException {
        return new ObjectMapper().readTree(output.resolve("_nosa/report.json").toFile());
    }

    private static String documents(int from, int to) {
        return IntStream.range(from, to)
                .mapToObj(i -> "{\"id\":\"d" + i + "\",\"text\":\"" + "words of it ".repeat(1 + i) + "\"}\n")
                .collect(Collectors.joining());
    }

    private static long sum(JsonNode array, String field) {
        return StreamSupport.stream(array.spliterator(), false)
                .mapToLong(node -> Math.round(node.get(field).asDouble()))
                .sum();
    }

    @Test
    void aRunOfTwoJobsIsOneReport() throws IOException {
        Path input = folder.resolve("in");
        Path output = folder.resolve("out");
        write("in/a.jsonl", documents(0, 9) + "{\"id\":\"long\",\"text\":\"" + "x".repeat(3000) + "\"}\n");
        CommandRun run = generate(input, output, "--wave-docs=5", "--max-error-rate=1", "--on-too-long=error");
        assertThat(run.out()).contains("report").contains("_nosa/report.html");
        JsonNode first = report(output);
        assertThat(first.at("/totals/documents").asInt()).isEqualTo(10);
        assertThat(first.get("waves")).hasSize(2);

        write("in/b.jsonl", documents(9, 14));
        assertThat(generate(
                                input,
                                output,
                                "--wave-docs=5",
                                "--max-error-rate=1",
                                "--on-too-long=error",
                                "--incremental")
                        .code())
                .isZero();
        JsonNode report = report(output);
        JsonNode totals = report.get("totals");
        assertThat(totals.get("documents").asInt()).isEqualTo(15);
        assertThat(totals.get("ok").asInt()).isEqualTo(14);
        assertThat(totals.get("errors").asInt()).isEqualTo(1);
        assertThat(totals.get("tokens_per_s").asDouble()).isPositive();
        assertThat(report.at("/run/id")).isEqualTo(first.at("/run/id"));
        assertThat(report.get("waves")).hasSizeGreaterThan(2);
        assertThat(sum(report.get("waves"), "documents")).isEqualTo(15);
        assertThat(report.at("/errors/0/id").asText()).isEqualTo("long");
        assertThat(report.at("/errors/0/error").asText()).contains("tokens");
        assertThat(sum(report.get("finish_reasons"), "rows")).isEqualTo(15);

        JsonNode points = report.at("/timeline/points");
        assertThat(sum(points, "documents")).isEqualTo(14);
        assertThat(StreamSupport.stream(points.spliterator(), false)
                        .mapToDouble(point -> point.get("prompt_tokens").asDouble())
                        .sum())
                .isCloseTo(totals.get("prompt_tokens").asDouble(), within(0.01));
        assertThat(report.get("distributions"))
                .extracting(each -> each.get("name").asText())
                .containsExactly("prompt_tokens", "output_tokens", "queued", "prefill", "decode", "total");
        for (JsonNode each : report.get("distributions")) {
            assertThat(each.get("rows").asInt()).isEqualTo(14);
            assertThat(sum(each.get("bins"), "rows")).as("%s", each).isEqualTo(14);
        }
        assertThat(report.get("layers")).hasSize(2);
        assertThat(report.get("executors")).as("one engine ran both jobs").hasSize(1);
        JsonNode engine = report.at("/executors/0");
        assertThat(engine.get("backend").asText()).isEqualTo("cpu");
        assertThat(engine.get("prefill_tokens").asLong()).isPositive();
        assertThat(engine.get("host_kv_peak_bytes").asLong()).isPositive();
        assertThat(report.at("/configuration/options/max-new-tokens").asText()).isEqualTo("4");
    }

    @Test
    void thePageOfARunOpens(@TempDir Path empty) throws Exception {
        Optional<Path> chromium = Chromium.program();
        assumeTrue(chromium.isPresent(), "no Chromium to open the page in: install one (apt-get install chromium)");
        Path input = write("page/a.jsonl", documents(0, 3)).getParent();
        Path output = folder.resolve("page-out");
        assertThat(generate(input, output).code()).isZero();
        Chromium page = Chromium.open(chromium.get(), empty, Files.readString(output.resolve("_nosa/report.html")));
        assertThat(page.console()).isEmpty();
        assertThat(page.dom()).contains("All 3 documents ok").contains("Turnover by layer");
    }

    @Test
    void aRunOverNothingHasAReport() throws IOException {
        Path input = folder.resolve("none.parquet");
        spark.sql("SELECT 'd' AS id, 'text' AS text WHERE false").write().parquet(input.toString());
        Path output = folder.resolve("none-out");
        assertThat(generate(input, output).code()).isZero();
        JsonNode report = report(output);
        assertThat(report.at("/totals/documents").asInt()).isZero();
        assertThat(report.at("/timeline/points")).isEmpty();
        assertThat(report.get("distributions")).isEmpty();
    }

    @Test
    void severalPromptsAreResultsEach() throws IOException {
        Path input = write("several/a.jsonl", documents(0, 4)).getParent();
        Path prompts = write("several.conf", "a = \"{text} one\"\nb = \"{text} two\"\n");
        Path output = folder.resolve("several-out");
        CommandRun run = CommandRun.of(
                "generate",
                "--model=" + model,
                "--input=" + input,
                "--output=" + output,
                "--prompts=" + prompts,
                "--prompts-output=columns",
                "--max-new-tokens=4",
                "--threads=2");
        assertThat(run.code()).as(run.err()).isZero();
        JsonNode report = report(output);
        assertThat(report.at("/totals/documents").asInt()).isEqualTo(8);
        assertThat(sum(report.at("/timeline/points"), "documents")).isEqualTo(8);
    }

    @Test
    void aDamagedFileOfAnEngineIsNoReasonToFail() throws IOException {
        Path input = write("damaged/a.jsonl", documents(0, 2)).getParent();
        Path output = folder.resolve("damaged-out");
        assertThat(generate(input, output).code()).isZero();
        Path engines = output.resolve("_nosa/engines/1.json");
        Files.writeString(engines, "[{");
        assertThat(generate(input, output).code()).isZero();
        assertThat(report(output).get("executors")).hasSize(1);
    }

    @Test
    void secretsAreNotShown() {
        SparkConf conf = new SparkConf(false)
                .set("spark.some.access.key", "swordfish")
                .set("spark.some.url", "jdbc:x?password=swordfish")
                .set("spark.executor.memory", "8g");
        assertThat(ReportData.Configuration.shown(conf))
                .containsEntry("spark.some.access.key", "(redacted)")
                .containsEntry("spark.some.url", "(redacted)")
                .containsEntry("spark.executor.memory", "8g");
    }

    /** {@code end, prefill, decode, prompt, shared, output}, milliseconds. */
    private static Dataset<Row> rows(String... values) {
        return spark.sql("SELECT prompt prompt_tokens, output output_tokens, named_struct('finished_ms', bigint(e),"
                + " 'prefill_ms', double(p), 'decode_ms', double(d), 'queued_ms', double(500), 'shared_tokens', shared)"
                + " usage FROM VALUES " + String.join(", ", values) + " AS t(e, p, d, prompt, shared, output)"
                + " UNION ALL SELECT null, null, null");
    }

    @Test
    void tokensAreSpreadOverTheTimeThatTheyTook() {
        // 0 to 600 ms of prompt, then 600 ms of answer; and one that takes no time at 1,200.
        Timeline line = Timeline.of(rows("(1200, 600, 600, 600, 0, 60)", "(1200, 0, 0, 100, 100, 0)"));
        assertThat(line.bucketSeconds()).isEqualTo(0.011);
        assertThat(line.drainSeconds()).isZero();
        assertThat(line.points()).hasSize(110);
        Timeline.Point first = line.points().get(0);
        assertThat(first.at()).isEqualTo(Instant.EPOCH.toString());
        assertThat(first.promptTokens()).isCloseTo(11, within(1e-9));
        assertThat(first.outputTokens()).isZero();
        assertThat(first.running()).isCloseTo(1, within(1e-9));
        assertThat(line.points().get(60).outputTokens()).isCloseTo(1.1, within(1e-9));
        assertThat(line.points().get(109).documents()).isEqualTo(2);
        assertThat(line.points().stream()
                        .mapToDouble(Timeline.Point::promptTokens)
                        .sum())
                .isCloseTo(600, within(1e-6));
        assertThat(line.points().stream()
                        .mapToDouble(Timeline.Point::outputTokens)
                        .sum())
                .isCloseTo(60, within(1e-6));
    }

    @Test
    void drainingBeginsWithTheLastDocument() {
        Timeline line = Timeline.of(rows("(1000, 500, 500, 10, 0, 10)", "(5000, 4000, 500, 10, 0, 10)"));
        assertThat(line.drainSeconds()).isEqualTo(4.5);
        assertThat(line.points().stream().mapToDouble(Timeline.Point::running).max())
                .hasValueCloseTo(2.0, within(1e-9));
    }

    @Test
    void binsCountEveryRowOnce() {
        String[] values = IntStream.rangeClosed(1, 1000)
                .mapToObj(i -> "(" + i + ", " + i + ", 0, " + (i == 1000 ? 100_000 : i) + ", 0, 7)")
                .toArray(String[]::new);
        List<Distribution> all = Distributions.of(rows(values));
        Distribution prompt = all.get(0);
        assertThat(prompt.rows()).isEqualTo(1000);
        assertThat(prompt.min()).isEqualTo(1);
        assertThat(prompt.p50()).isCloseTo(500, within(2.0));
        assertThat(prompt.p99()).isCloseTo(990, within(2.0));
        assertThat(prompt.max()).isEqualTo(100_000);
        assertThat(prompt.bins()).hasSize(Distribution.BINS + 1);
        assertThat(prompt.bins().get(Distribution.BINS).rows()).isCloseTo(10, within(2L));
        assertThat(prompt.bins().stream().mapToLong(Distribution.Bin::rows).sum())
                .isEqualTo(1000);
        Distribution output = all.get(1);
        assertThat(output.bins()).containsExactly(new Distribution.Bin(7, 7, 1000));
        assertThat(all.get(2).mean()).isEqualTo(0.5);
    }
}
