package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;

/** What the same command does when it is run again, whatever has happened in between. */
class ResumeTest extends JobFixture {
    private static final String WAVES = "--wave-docs=3";

    private Path input;
    private Path output;

    @BeforeEach
    void paths(TestInfo test) throws IOException {
        String name = test.getTestMethod().orElseThrow().getName();
        input = folder.resolve(name);
        output = folder.resolve(name + "-out");
        write(name + "/a.jsonl", documents(0, 10));
    }

    private static String documents(int from, int to) {
        return IntStream.range(from, to)
                .mapToObj(i -> "{\"id\":\"d" + i + "\",\"text\":\"words of document " + i + "\"}\n")
                .collect(Collectors.joining());
    }

    /** What does not depend on time. */
    private Map<String, List<Object>> results() {
        Map<String, List<Object>> results = new TreeMap<>();
        for (Row row : spark.read().parquet(output.toString()).collectAsList()) {
            List<Object> values = List.of(
                    String.valueOf(row.<String>getAs("generation")),
                    row.<String>getAs("status"),
                    String.valueOf(row.<Integer>getAs("prompt_tokens")),
                    row.<Integer>getAs("wave"));
            assertThat(results.put(row.getAs("id"), values)).as("%s twice", row).isNull();
        }
        return results;
    }

    private Map<String, Object> files() throws IOException {
        try (Stream<Path> files = Files.walk(output)) {
            return files.filter(file -> file.toString().endsWith(".parquet"))
                    .collect(Collectors.toMap(file -> output.relativize(file).toString(), ResumeTest::changed));
        }
    }

    private static Object changed(Path file) {
        try {
            return Files.getLastModifiedTime(file);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private void succeed(String... more) {
        CommandRun run = generate(input, output, more);
        assertThat(run.err()).doesNotContain("nosa: error");
        assertThat(run.code()).isZero();
    }

    private static void delete(Path path) throws IOException {
        try (Stream<Path> all = Files.walk(path)) {
            for (Path file : all.sorted((a, b) -> b.compareTo(a)).toList()) {
                Files.delete(file);
            }
        }
    }

    private Path record(int wave) {
        return output.resolve(String.format("_nosa/waves/%05d.json", wave));
    }

    private Path wave(int wave) {
        return output.resolve(String.format("wave=%05d", wave));
    }

    @Test
    void aRunIsCutIntoWavesAndARunThatIsDoneDoesNothing() throws IOException {
        succeed(WAVES);
        Map<String, List<Object>> first = results();
        assertThat(first).hasSize(10);
        assertThat(wave(3)).isDirectory();
        assertThat(wave(4)).doesNotExist();
        assertThat(output.resolve("_SUCCESS")).exists();
        assertThat(output.resolve("_nosa/lock")).doesNotExist();
        JsonNode manifest = new ObjectMapper()
                .readTree(output.resolve("_nosa/manifest.json").toFile());
        assertThat(manifest.get("settings").get("max-new-tokens").asText()).isEqualTo("4");
        assertThat(manifest.get("settings").has("threads")).isFalse();
        JsonNode wave = new ObjectMapper().readTree(record(0).toFile());
        assertThat(wave.get("documents").asInt()).isBetween(2, 4);
        assertThat(wave.get("promptTokens").asInt()).isPositive();

        Map<String, Object> files = files();
        succeed(WAVES);
        succeed("--wave-docs=5", "--partitions=1", "--show=1"); // nothing of these changes results
        assertThat(files()).isEqualTo(files);
        assertThat(results()).isEqualTo(first);
    }

    @Test
    void aRunGoesOnWhereItEnded() throws IOException {
        succeed(WAVES);
        Map<String, List<Object>> undisturbed = results();
        // Crashed in the middle of wave 1, and after the last file of wave 2 but before its record.
        delete(record(1));
        Files.delete(wave(1).resolve("_SUCCESS"));
        delete(record(2));
        Map<String, Object> files = files();
        CommandRun resumed = generate(input, output, WAVES);
        assertThat(resumed.out())
                .containsPattern("documents +10: 10 ok")
                .containsPattern("resumed +[78] documents in 3 waves were there");
        assertThat(results()).isEqualTo(undisturbed);
        assertThat(record(1)).exists();
        assertThat(record(2)).exists();
        Map<String, Object> now = files();
        files.keySet().removeIf(file -> file.startsWith("wave=00001"));
        assertThat(files).isNotEmpty();
        assertThat(now).containsAllEntriesOf(files).hasSizeGreaterThan(files.size());
    }

    @Test
    void aWaveDeletedByHandIsComputedAgain() throws IOException {
        succeed(WAVES);
        Map<String, List<Object>> undisturbed = results();
        delete(wave(1));
        succeed(WAVES);
        assertThat(results()).isEqualTo(undisturbed);
    }

    @Test
    void aWaveOfWhichAPartWasDeletedIsNamed() throws IOException {
        succeed(WAVES);
        Map<String, List<Object>> undisturbed = results();
        try (Stream<Path> files = Files.list(wave(1))) {
            for (Path file :
                    files.filter(f -> f.toString().endsWith(".parquet")).toList()) {
                Files.delete(file);
            }
        }
        CommandRun failed = generate(input, output, WAVES);
        assertThat(failed.code()).isEqualTo(Failures.BAD_USAGE);
        assertThat(failed.err().lines().toList().get(1))
                .contains("wave 00001 of ", " holds 0 rows, and was committed with ", "remove what is left of it");
        assertThat(failed.err()).startsWith("nosa: report of what is done: ");
        assertThat(report().at("/run/complete").asBoolean()).isFalse();
        assertThat(report().at("/totals/documents").asInt()).isLessThan(undisturbed.size());
        delete(wave(1));
        succeed(WAVES);
        assertThat(results()).isEqualTo(undisturbed);
        assertThat(report().at("/run/complete").asBoolean()).isTrue();
        assertThat(report().at("/totals/documents").asInt()).isEqualTo(undisturbed.size());
    }

    private JsonNode report() throws IOException {
        return new ObjectMapper().readTree(output.resolve("_nosa/report.json").toFile());
    }

    @Test
    void anotherRunsFolderIsRefusedWithWhatDiffers() throws IOException {
        succeed(WAVES);
        Map<String, Object> files = files();
        CommandRun run = generate(input, output, WAVES, "--max-new-tokens=5", "--prompt=Say {text}");
        assertThat(run.usageError())
                .contains("is a run with other options: max-new-tokens (4, now 5), prompt ({text}, now Say {text});")
                .contains("--output-mode overwrite")
                .endsWith("(--output)");
        assertThat(files()).isEqualTo(files);
    }

    @Test
    void aManifestThatIsHalfWrittenIsNamed() throws IOException {
        succeed(WAVES);
        Path manifest = output.resolve("_nosa/manifest.json");
        Files.writeString(manifest, Files.readString(manifest).substring(0, 40));
        assertThat(generate(input, output, WAVES).usageError())
                .contains("_nosa/manifest.json is damaged")
                .contains("--output-mode overwrite")
                .endsWith("(--output)");
        succeed(WAVES, "--output-mode=overwrite");
        assertThat(results()).hasSize(10);
    }

    @Test
    void wavesWithoutAManifestAreNotTouched() throws IOException {
        succeed(WAVES);
        Files.delete(output.resolve("_nosa/manifest.json"));
        Map<String, Object> files = files();
        assertThat(generate(input, output, WAVES).usageError())
                .contains("holds waves, but no _nosa/manifest.json")
                .endsWith("(--output)");
        assertThat(files()).isEqualTo(files);
    }

    @Test
    void overwritingGoesOnWithItsOwnUnfinishedRunAndReplacesAnother() throws IOException {
        succeed(WAVES, "--output-mode=overwrite");
        Map<String, List<Object>> before = results();
        Files.delete(output.resolve("_SUCCESS"));
        delete(record(1));
        Files.delete(wave(1).resolve("_SUCCESS"));
        Map<String, Object> files = files();
        succeed(WAVES, "--output-mode=overwrite");
        assertThat(results()).isEqualTo(before);
        files.keySet().removeIf(file -> file.startsWith("wave=00001"));
        assertThat(files()).containsAllEntriesOf(files);

        Files.delete(output.resolve("_SUCCESS"));
        succeed(WAVES, "--output-mode=overwrite", "--max-new-tokens=3");
        assertThat(results()).hasSize(10).isNotEqualTo(before);
    }

    @Test
    void newRowsAreTakenOnRequest() throws IOException {
        succeed(WAVES);
        Map<String, List<Object>> before = results();
        Map<String, Object> files = files();
        Files.writeString(input.resolve("b.jsonl"), documents(8, 15).replace("\"d8\"", "\"d7\""));
        Files.writeString(input.resolve("a.jsonl"), documents(0, 7));
        assertThat(generate(input, output, WAVES).usageError())
                .contains("the input has changed since ")
                .contains("1 files of ")
                .contains("--incremental")
                .endsWith("(--input)");
        succeed(WAVES, "--incremental");
        assertThat(results()).hasSize(15).containsAllEntriesOf(before);
        assertThat(files()).containsAllEntriesOf(files);
        assertThat(results().values()).anyMatch(values -> values.get(3).equals(5));
        succeed(WAVES);

        // A wave of the first rows is gone: what came later stays where it is.
        Map<String, List<Object>> all = results();
        delete(wave(0));
        succeed(WAVES);
        assertThat(results()).isEqualTo(all);
    }

    @Test
    void aFirstWaveThatIsGoneBesideNewRowsThatAreNotDoneGivesNoRowTwice() throws IOException {
        succeed(WAVES);
        Files.writeString(input.resolve("b.jsonl"), documents(10, 20));
        succeed(WAVES, "--incremental");
        Set<String> ids = results().keySet();
        assertThat(ids).hasSize(20);
        for (int wave : List.of(0, 4, 5)) {
            delete(wave(wave));
        }
        succeed(WAVES);
        assertThat(results().keySet()).isEqualTo(ids);
    }

    @Test
    void documentsThatFailedAreTriedAgainOnRequest() throws IOException {
        Path bad = input.resolve("b.jsonl");
        Files.writeString(bad, "{\"id\":\"long\",\"text\":\"" + "word ".repeat(800) + "\"}\n");
        succeed(WAVES, "--max-error-rate=1");
        Map<String, List<Object>> before = results();
        assertThat(before.get("long").get(1)).isEqualTo("error");
        Files.writeString(bad, "{\"id\":\"long\",\"text\":\"shorter now\"}\n");
        succeed(WAVES, "--incremental");
        assertThat(results()).isEqualTo(before);
        succeed(WAVES, "--retry-failed");
        Map<String, List<Object>> after = results();
        assertThat(after.get("long").get(1)).isEqualTo("ok");
        assertThat(after.get("long").get(3)).isEqualTo(before.get("long").get(3));
        before.remove("long");
        assertThat(after).hasSize(11).containsAllEntriesOf(before);
    }

    @Test
    void aReplacementThatWasInterruptedIsFinished() throws IOException {
        succeed(WAVES);
        Map<String, List<Object>> before = results();
        // As it stands when a process ends between the old version's end and the new one's move.
        Files.move(wave(1), output.resolve("_nosa/replacing-wave=00001"));
        Files.writeString(record(1), Files.readString(record(1)).replace("committed", "replacing"));
        succeed(WAVES);
        assertThat(results()).isEqualTo(before);
        assertThat(Files.readString(record(1))).contains("committed");
        assertThat(output.resolve("_nosa/replacing-wave=00001")).doesNotExist();
    }

    @Test
    void aFolderOfAnotherJobIsRefused() throws IOException {
        succeed(WAVES);
        Files.writeString(
                output.resolve("_nosa/lock"),
                "{\"token\": \"x\", \"user\": \"ann\", \"host\": \"far.example\", \"process\": 1, \"since\": \"noon\"}");
        assertThat(generate(input, output, WAVES).usageError())
                .startsWith("nosa: error: ann@far.example (process 1) since noon is working on ")
                .endsWith("(--output)");
        assertThat(results()).hasSize(10);
    }

    @Test
    void theErrorModeTakesNoFolderThatExists() {
        succeed(WAVES);
        assertThat(generate(input, output, WAVES, "--output-mode=error").usageError())
                .contains("exists; take another path, or --output-mode resume or overwrite")
                .endsWith("(--output)");
    }
}
