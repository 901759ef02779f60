package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReportPageTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String HOSTILE = "<script>console.log('hostile')</script></script><!--<script> \u2028\u2029"
            + "<img src=x onerror=console.log('hostile')> \" \\ ' & &lt; $1 /*REPORT*/ \ud83d\ude00 "
            + "x".repeat(10_000);

    private static String resource(String name) throws IOException {
        try (InputStream in = ReportPageTest.class.getResourceAsStream(name)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static ObjectNode sample() throws IOException {
        return (ObjectNode) JSON.readTree(resource("report.json"));
    }

    /** A run over no documents, on a backend without counters, of which nothing was measured. */
    private static ObjectNode empty() throws IOException {
        ObjectNode report = sample();
        for (String array : List.of("finish_reasons", "errors", "distributions", "layers", "executors", "waves")) {
            report.putArray(array);
        }
        ((ObjectNode) report.get("timeline")).putNull("bucket_seconds").putArray("points");
        report.putObject("configuration").putObject("options");
        ObjectNode totals = (ObjectNode) report.get("totals");
        totals.fieldNames().forEachRemaining(name -> totals.putNull(name));
        totals.put("documents", 0).put("errors", 0);
        ((ObjectNode) report.get("run")).putNull("finished");
        return report;
    }

    /** Hostile text wherever a report has text of users; a thousand waves; and one of everything without its numbers. */
    private static ObjectNode hostile() throws IOException {
        ObjectNode report = sample().put("output", HOSTILE);
        ((ObjectNode) report.at("/errors/0")).put("id", HOSTILE).put("error", HOSTILE);
        ((ObjectNode) report.at("/executors/0")).put("host", HOSTILE);
        ((ObjectNode) report.at("/configuration/options")).put(HOSTILE, HOSTILE);
        ArrayNode waves = (ArrayNode) report.get("waves");
        while (waves.size() < 1000) {
            waves.add(((ObjectNode) waves.get(waves.size() % 7).deepCopy()).put("wave", waves.size()));
        }
        for (String array : List.of("finish_reasons", "errors", "distributions", "layers", "executors", "waves")) {
            ObjectNode unknown = report.get(array).get(0).deepCopy();
            unknown.fieldNames().forEachRemaining(name -> unknown.putNull(name));
            ((ArrayNode) report.get(array)).add(unknown);
        }
        return report;
    }

    private static String page(JsonNode report) throws IOException {
        return ReportPage.html(JSON.writeValueAsString(report));
    }

    private static String data(String page) {
        Matcher data = Pattern.compile("<script type=\"application/json\" id=\"report\">(.*?)</script>", Pattern.DOTALL)
                .matcher(page);
        assertThat(data.find()).isTrue();
        return data.group(1);
    }

    @Test
    void aReportIsReadBackAsItWas() throws IOException {
        assertThat(JSON.readTree(data(page(hostile())))).isEqualTo(hostile());
    }

    @Test
    void noTextEndsTheScriptThatHoldsIt() throws IOException {
        assertThat(data(page(hostile())))
                .doesNotContain("<", "\u2028", "\u2029")
                .contains("\\u003c/script>");
    }

    @Test
    void thePageLoadsNothing() throws IOException {
        assertThat(page(sample())).doesNotContainPattern("(?i)\\b(src|href|srcset|action)\\s*=|@import|url\\(");
    }

    /** What the browser makes of it; three pages, as each takes two seconds or so. */
    @Nested
    class InABrowser {
        private static final Pattern PROBED = Pattern.compile("<pre id=\"probed\">([^<]*)</pre>");

        @TempDir
        private static Path folder;

        private static Seen light;
        private static Seen narrowAndDark;
        private static Seen empty;

        /** As {@code report-probe.js} tells it. */
        record Seen(
                List<Chart> charts,
                String status,
                List<String> headings,
                String text,
                String background,
                int width,
                int scripts,
                int loaded,
                int beyond,
                List<String> console) {}

        record Chart(String id, int marks, List<String> overlaps) {}

        @BeforeAll
        static void openPages() throws IOException, InterruptedException {
            light = see("light", sample(), "--blink-settings=preferredColorScheme=1", "--window-size=1200,900");
            narrowAndDark = see("dark", hostile(), "--blink-settings=preferredColorScheme=0", "--window-size=400,900");
            empty = see("empty", empty(), "--window-size=1200,900");
        }

        private static Seen see(String name, JsonNode report, String... flags)
                throws IOException, InterruptedException {
            Optional<Path> program = Chromium.program();
            assumeTrue(
                    program.isPresent(),
                    "the page is not opened, as the PATH has no chromium: install the package chromium or google-chrome");
            String probe = resource("report-probe.js");
            String html = page(report).replace("</body>", "<script>" + probe + "</script></body>");
            Chromium opened = Chromium.open(program.get(), Files.createDirectory(folder.resolve(name)), html, flags);
            Matcher probed = PROBED.matcher(opened.dom());
            assertThat(probed.find()).as(String.join("\n", opened.console())).isTrue();
            ObjectNode seen = (ObjectNode) JSON.readTree(URLDecoder.decode(probed.group(1), StandardCharsets.UTF_8));
            return JSON.treeToValue(seen.set("console", JSON.valueToTree(opened.console())), Seen.class);
        }

        @Test
        void everyChartIsDrawn() {
            assertThat(light.charts)
                    .extracting(Chart::id)
                    .containsExactly(
                            "output-over-time",
                            "prompt-over-time",
                            "running-over-time",
                            "waves-over-time",
                            "distribution-queued",
                            "distribution-prefill",
                            "distribution-decode",
                            "distribution-total",
                            "distribution-prompt_tokens",
                            "distribution-output_tokens",
                            "turnover");
            assertThat(light.charts).extracting(Chart::marks).containsExactly(1, 1, 1, 12, 30, 30, 30, 30, 33, 32, 32);
        }

        @Test
        void theStatusComesFirst() {
            assertThat(light.status).isEqualTo("▲ 43 errors in 24,000 documents");
            assertThat(light.headings)
                    .containsExactly(
                            "Errors",
                            "Throughput",
                            "Latency per document",
                            "Lengths",
                            "Turnover by layer",
                            "Executors",
                            "Waves",
                            "Configuration");
        }

        @Test
        void noTextCoversAnother() {
            assertThat(light.charts).flatExtracting(Chart::overlaps).isEmpty();
            assertThat(narrowAndDark.charts).flatExtracting(Chart::overlaps).isEmpty();
        }

        @Test
        void noPageIsWiderThanItsWindow() {
            assertThat(narrowAndDark.width).isLessThan(560); // as browsers have a least width
            assertThat(List.of(light.beyond, narrowAndDark.beyond, empty.beyond))
                    .containsOnly(0);
        }

        /** But what the probe writes, so that an empty console is not one that was not read. */
        @Test
        void theConsoleStaysEmpty() {
            for (Seen seen : List.of(light, narrowAndDark, empty)) {
                assertThat(seen.console).singleElement().asString().contains("\"probed\"");
            }
        }

        @Test
        void nothingIsLoaded() {
            assertThat(List.of(light.loaded, narrowAndDark.loaded, empty.loaded))
                    .containsOnly(0);
        }

        @Test
        void hostileTextIsShownAsText() {
            assertThat(narrowAndDark.text.split(Pattern.quote(HOSTILE), -1)).hasSize(1 + 6);
            assertThat(narrowAndDark.scripts).isEqualTo(light.scripts).isEqualTo(3);
        }

        @Test
        void whatIsUnknownIsADash() {
            for (Seen seen : List.of(light, narrowAndDark, empty)) {
                assertThat(seen.text).doesNotContain("null", "undefined", "NaN", "Infinity");
            }
        }

        @Test
        void aRunOverNoDocumentsHasTheSameSections() {
            assertThat(empty.headings).isEqualTo(light.headings);
            assertThat(empty.charts).isEmpty();
            assertThat(empty.text)
                    .contains("No documents", "No document failed.", "This backend does not count blocks.");
        }

        @Test
        void theColoursFollowTheSystem() {
            assertThat(light.background).isEqualTo("rgb(244, 246, 248)");
            assertThat(narrowAndDark.background).isEqualTo("rgb(14, 19, 24)");
        }
    }
}
