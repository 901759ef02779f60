package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.testkit.TinyTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Everything that a user can get wrong before a model is loaded: one line, the option's name, exit code 2. */
class BadInputTest extends JobFixture {
    private static Path input;

    @BeforeAll
    static void writeInput() throws IOException {
        input = write("input.jsonl", "{\"id\":\"a\",\"text\":\"one two three\"}\n{\"id\":\"b\",\"text\":\"four\"}\n");
    }

    private static String error(String... options) {
        return generate(input, folder.resolve("out"), options).usageError();
    }

    private static String errorOf(Path otherInput) {
        return generate(otherInput, folder.resolve("out")).usageError();
    }

    @Test
    void anUnknownOptionNamesTheNearest() {
        assertThat(error("--temprature=1"))
                .isEqualTo("nosa: error: unknown option '--temprature'; did you mean '--temperature'?");
    }

    @Test
    void anUnknownCommandNamesTheNearest() {
        assertThat(CommandRun.of("generat").usageError())
                .isEqualTo("nosa: error: unknown command 'generat'; did you mean 'generate'?");
    }

    @Test
    void aValueOfTheWrongTypeNamesItsOption() {
        assertThat(error("--slots=many")).contains("--slots").contains("many");
    }

    @Test
    void aTurnoverBelowTheModelsOwnIsAnError() {
        assertThat(CommandRun.of("bench", "--shape=8b", "--turnover=1,-5").usageError())
                .isEqualTo("nosa: error: must be -1 or more: [1, -5] (--turnover)");
        assertThat(CommandRun.of("bench", "--shape=8b", "--halves=always,once").usageError())
                .isEqualTo("nosa: error: unknown value in [always, once]; known: [auto, always, never] (--halves)");
        assertThat(CommandRun.of("bench", "--shape=8b", "--memory=resident", "--halves=always")
                        .usageError())
                .isEqualTo("nosa: error: always needs blocks to fetch, of which --memory resident has none (--halves)");
    }

    @Test
    void aSizeWithoutAUnitThatExistsIsAnError() {
        assertThat(error("--host-kv=4q")).contains("--host-kv").contains("'4q' is not a size");
    }

    @Test
    void valuesOutOfRangeNameTheirOption() {
        assertThat(error("--top-p=0")).endsWith("(--top-p)").contains("above 0");
        assertThat(error("--max-new-tokens=0")).endsWith("(--max-new-tokens)");
        assertThat(error("--max-step-tokens=100"))
                .endsWith("(--max-step-tokens)")
                .contains("multiple of 64");
        assertThat(error("--max-error-rate=2")).endsWith("(--max-error-rate)");
        assertThat(error("--partitions=-1")).endsWith("(--partitions)");
        assertThat(error("--mode=nossa")).endsWith("(--mode)").contains("infllm_v2");
        assertThat(error("--backend=tpu")).endsWith("(--backend)");
        assertThat(error("--on-too-long=cut")).endsWith("(--on-too-long)").contains("truncate-middle");
        assertThat(error("--output-mode=append")).endsWith("(--output-mode)");
        assertThat(error("--stop=")).endsWith("(--stop)");
    }

    @Test
    void requiredOptionsAreNamed() {
        assertThat(CommandRun.of("generate").usageError()).endsWith("(--input)");
        assertThat(CommandRun.of("generate", "--input=x").usageError()).endsWith("(--output)");
        assertThat(CommandRun.of("generate", "--input=x", "--output=y").usageError())
                .contains("(--model)");
        assertThat(CommandRun.of("generate", "--input=x", "--output=y", "--model=z")
                        .usageError())
                .endsWith("(--prompt)");
    }

    @Test
    void aMissingModelIsNamed() {
        assertThat(error("--model=/no/such/model")).contains("/no/such/model").endsWith("(--model)");
    }

    @Test
    void aTruncatedCheckpointNamesItsFile() throws IOException {
        Path broken = copyOfModel("broken-model");
        Path weights = broken.resolve("model.safetensors");
        byte[] bytes = Files.readAllBytes(weights);
        Files.write(weights, java.util.Arrays.copyOf(bytes, bytes.length / 2));
        assertThat(error("--model=" + broken)).contains("model.safetensors").endsWith("(--model)");
    }

    @Test
    void aTokenizerWithMoreIdsThanTheModelIsAnError() throws IOException {
        Path other = copyOfModel("other-tokenizer");
        Path config = other.resolve("config.json");
        Files.writeString(config, Files.readString(config).replaceAll("(\"vocab_size\" ?:) ?\\d+", "$1 100"));
        assertThat(error("--model=" + other))
                .contains("tokenizer.json has ids up to " + (TinyTokenizer.VOCAB - 1))
                .contains("vocab_size is 100")
                .endsWith("(--model)");
    }

    @Test
    void aModelWithoutATokenizerIsAnError() throws IOException {
        Path other = copyOfModel("no-tokenizer");
        Files.delete(other.resolve("tokenizer.json"));
        assertThat(error("--model=" + other)).contains("tokenizer.json").endsWith("(--model)");
    }

    @Test
    void anInputThatCannotBeReadIsNamed() {
        assertThat(CommandRun.of(
                                "generate",
                                "--input=nowhere://a/b",
                                "--output=x",
                                "--model=" + model,
                                "--prompt={text}")
                        .usageError())
                .contains("cannot read nowhere://a/b")
                .endsWith("(--input)");
    }

    @Test
    void aMissingInputIsNamed() {
        assertThat(errorOf(folder.resolve("nowhere.parquet")))
                .contains("nowhere.parquet")
                .endsWith("(--input)");
    }

    @Test
    void anUnknownEndingAsksForTheFormat() throws IOException {
        assertThat(errorOf(write("notes.doc", "text"))).contains("notes.doc").endsWith("(--input-format)");
    }

    @Test
    void mixedFormatsAskForTheFormat() throws IOException {
        write("mixed/a.csv", "id,text\n1,one\n");
        write("mixed/b.jsonl", "{\"id\":\"2\",\"text\":\"two\"}\n");
        assertThat(errorOf(folder.resolve("mixed"))).contains("csv").endsWith("(--input-format)");
    }

    @Test
    void csvFilesWithOtherHeadersAreAnError() throws IOException {
        write("headers/a.csv", "id,text\n1,one\n");
        write("headers/b.csv", "text,id\ntwo,2\n");
        assertThat(errorOf(folder.resolve("headers")))
                .contains("must have the same header")
                .contains(".csv")
                .endsWith("(--input)");
    }

    @Test
    void anEmptyFolderIsAnError() throws IOException {
        Path empty = Files.createDirectories(folder.resolve("empty"));
        assertThat(errorOf(empty)).contains("no files").endsWith("(--input)");
    }

    @Test
    void aFileThatIsNoParquetIsAnError() throws IOException {
        assertThat(errorOf(write("no.parquet", "this is text")))
                .contains("no.parquet")
                .endsWith("(--input)");
    }

    @Test
    void anUnknownColumnNamesTheNearest() {
        assertThat(error("--text-column=txt"))
                .contains("'txt'")
                .contains("'text'")
                .endsWith("(--text-column)");
        assertThat(error("--id-column=name")).contains("'name'").endsWith("(--id-column)");
        assertThat(error("--pass-through=id,url")).contains("'url'").endsWith("(--pass-through)");
        assertThat(error("--prompt={title}")).contains("'title'").endsWith("(--prompt)");
    }

    @Test
    void anOutputColumnCannotBePassedThrough() throws IOException {
        Path clash = write("clash.jsonl", "{\"id\":\"a\",\"text\":\"one\",\"status\":\"new\"}\n");
        assertThat(generate(clash, folder.resolve("out"), "--pass-through=status")
                        .usageError())
                .contains("status")
                .endsWith("(--pass-through)");
    }

    @Test
    void aBadTemplateIsAnError() {
        assertThat(error("--prompt= ")).contains("empty").endsWith("(--prompt)");
        assertThat(error("--prompt=say {text")).contains("never closed").endsWith("(--prompt)");
        assertThat(error("--prompt=say something")).contains("{text}").endsWith("(--prompt)");
        assertThat(error("--prompt=@/no/such/file")).contains("/no/such/file").endsWith("(--prompt)");
    }

    @Test
    void anOutputThatExistsIsNotTouched() throws IOException {
        Path kept = write("kept/part-0.parquet", "results").getParent();
        assertThat(generate(input, kept).usageError()).contains("exists").endsWith("(--output)");
        assertThat(kept.resolve("part-0.parquet")).hasContent("results");
    }

    @Test
    void aFolderOfOtherFilesIsNeverOverwritten() throws IOException {
        Path home = write("home/letter.txt", "dear").getParent();
        assertThat(generate(input, home, "--output-mode=overwrite").usageError())
                .contains("letter.txt")
                .endsWith("(--output)");
        assertThat(home.resolve("letter.txt")).exists();
    }

    @Test
    void theInputIsNeverOverwritten() {
        assertThat(generate(input, input, "--output-mode=overwrite").usageError())
                .contains("is the input")
                .endsWith("(--output)");
        assertThat(generate(input, folder, "--output-mode=overwrite").usageError())
                .endsWith("(--output)");
        assertThat(input).exists();
    }

    @Test
    void anOutputUnderAFileIsAnError() {
        assertThat(generate(input, input.resolve("x/y")).usageError()).endsWith("(--output)");
    }

    @Test
    void tooFewHostBytesForOneDocumentAreAnError() {
        assertThat(error("--host-kv=1k")).contains("1.0 KiB").endsWith("(--host-kv)");
    }

    @Test
    void outputAsLongAsTheModelLeavesNoRoomForAPrompt() {
        assertThat(error("--max-new-tokens=600")).endsWith("(--max-new-tokens)");
    }

    @Test
    void duplicateIdsAreNamed() throws IOException {
        Path twice = write(
                "twice.jsonl",
                "{\"id\":\"a\",\"text\":\"x\"}\n{\"id\":\"b\",\"text\":\"y\"}\n{\"id\":\"a\",\"text\":\"z\"}\n");
        assertThat(errorOf(twice))
                .contains("'a' (2 times)")
                .doesNotContain("'b'")
                .endsWith("(--id-column)");
    }

    @Test
    void nothingIsLeftBehind() {
        error("--host-kv=1k");
        assertThat(folder.resolve("out")).doesNotExist();
        assertThat(folder.toFile().list((dir, name) -> name.startsWith(".nosa")))
                .isEmpty();
    }

    @Test
    void verboseAddsTheStackTrace() {
        CommandRun run = generate(folder.resolve("nowhere"), folder.resolve("out"), "--verbose");
        assertThat(run.code()).isEqualTo(2);
        assertThat(run.err()).contains("\tat dev.nosa.job.").contains("nosa: error: no such file");
    }

    @Test
    void scoringNeedsContinuationsFromOnePlace() {
        List<String> base = List.of("score", "--model=" + model, "--input=" + input, "--output=x", "--prompt={text}");
        assertThat(CommandRun.of(base.toArray(String[]::new)).usageError()).contains("--continuations-column");
    }
}
