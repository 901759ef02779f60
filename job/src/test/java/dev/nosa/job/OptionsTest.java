package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.checkpoint.SimilarNames;
import dev.nosa.engine.EngineConfig;
import dev.nosa.sample.SamplingParams;
import dev.nosa.sparse.AttentionMode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;
import picocli.CommandLine.TypeConversionException;

class OptionsTest {
    private static GenerateJob parse(String... args) {
        GenerateJob job = new GenerateJob();
        new CommandLine(job)
                .setExpandAtFiles(false)
                .setEndOfOptionsDelimiter(Nosa.NO_DELIMITER)
                .parseArgs(args);
        return job;
    }

    @Test
    void defaultsAreTheEngines() {
        assertThat(parse("--model", "/m").model.engineConfig())
                .isEqualTo(EngineConfig.builder(Path.of("/m")).build());
        assertThat(parse().sampling.params()).isEqualTo(SamplingParams.GREEDY);
    }

    @Test
    void executorsGetTheModelsWholePath() {
        assertThat(parse("--model", "m").model.engineConfig().model())
                .isEqualTo(Path.of("m").toAbsolutePath());
    }

    @Test
    void engineOptionsArriveInTheConfiguration() {
        EngineConfig config = parse(
                        "--model=m",
                        "--mode=infllm_v2",
                        "--host-kv=2g",
                        "--device-kv=512M",
                        "--slots=40",
                        "--max-batch=3",
                        "--max-context=1000",
                        "--max-step-tokens=128",
                        "--load-format=dummy",
                        "--kv-dtype=bf16",
                        "--weight-dtype=bf16",
                        "--threads=5",
                        "--backend=cpu")
                .model
                .engineConfig();
        assertThat(config.mode()).isEqualTo(AttentionMode.INFLLM_V2);
        assertThat(config.hostKvBytes()).isEqualTo(2L << 30);
        assertThat(config.deviceKvBytes()).isEqualTo(512L << 20);
        assertThat(config.slots()).isEqualTo(40);
        assertThat(config.maxBatch()).isEqualTo(3);
        assertThat(config.maxContext()).isEqualTo(1000);
        assertThat(config.maxStepTokens()).isEqualTo(128);
        assertThat(config.loadFormat()).isEqualTo("dummy");
        assertThat(config.kvDtype()).isEqualTo("bf16");
        assertThat(config.weightDtype()).isEqualTo("bf16");
        assertThat(config.threads()).isEqualTo(5);
        assertThat(config.backend()).isEqualTo("cpu");
    }

    @Test
    void stopStringsKeepTheirCommasAndStopTokensAreSplit() {
        SamplingOptions sampling =
                parse("--stop", "a,b", "--stop=--", "--stop-token-ids=1,2", "--stop-token-ids=3").sampling;
        assertThat(sampling.stop).containsExactly("a,b", "--");
        assertThat(sampling.stopTokenIds).isEqualTo(List.of(1, 2, 3));
    }

    @Test
    void aPromptThatBeginsWithAnAtSignIsNoArgumentFile() {
        assertThat(parse("--prompt", "@x.txt").prompt.prompt).isEqualTo("@x.txt");
    }

    @Test
    void theLineBreakAtTheEndOfAPromptFileIsNoPartOfIt(@TempDir Path folder) throws IOException {
        Path file = Files.writeString(folder.resolve("prompt.txt"), "{text}\n\nWhy?\n\n");
        assertThat(parse("--prompt", "@" + file).prompt.text()).isEqualTo("{text}\n\nWhy?\n");
    }

    @Test
    void sizesAreReadInPowersOf1024() {
        ByteSize size = new ByteSize();
        assertThat(size.convert("17")).isEqualTo(17);
        assertThat(size.convert("3k")).isEqualTo(3072);
        assertThat(size.convert("1tb")).isEqualTo(1L << 40);
        assertThatThrownBy(() -> size.convert("99999999999999g"))
                .isInstanceOf(TypeConversionException.class)
                .hasMessageContaining("more than 8 EiB");
        assertThat(ByteSize.format(1536)).isEqualTo("1.5 KiB");
    }

    @Test
    void theNearestNameIsTheOneWithTheFewestEdits() {
        List<String> known = List.of("--model", "--mode", "--output");
        assertThat(NearestName.of("--modl", known)).contains("--model");
        assertThat(NearestName.of("--ouput", known)).contains("--output");
        assertThat(NearestName.of("--something", known)).isEmpty();
        assertThat(SimilarNames.edits("kitten", "sitting")).isEqualTo(3);
    }

    @Test
    void aFilesEndingNamesItsFormat() {
        assertThat(InputFormat.ofFile("part-0.snappy.parquet")).contains(InputFormat.PARQUET);
        assertThat(InputFormat.ofFile("a.JSONL.gz")).contains(InputFormat.JSONL);
        assertThat(InputFormat.ofFile("a.csv")).contains(InputFormat.CSV);
        assertThat(InputFormat.ofFile("README.md")).contains(InputFormat.TEXT);
        assertThat(InputFormat.ofFile("a.txt.gz")).isEmpty();
        assertThat(InputFormat.ofFile("Makefile")).isEmpty();
    }

    @Test
    void textIsDecodedStrictly() {
        assertThat(Utf8.decode(new byte[] {'a', (byte) 0xc3, (byte) 0xa9}).text())
                .isEqualTo("a\u00e9");
        assertThat(Utf8.decode(new byte[] {'a', 'b', (byte) 0xff}).error()).isEqualTo("invalid UTF-8 at byte 2");
        assertThat(Utf8.decode(new byte[] {'a', (byte) 0xc3}).error()).isEqualTo("invalid UTF-8 at byte 1");
        assertThat(Utf8.decode(new byte[] {(byte) 0xef, (byte) 0xbb, (byte) 0xbf, 'x'})
                        .text())
                .isEqualTo("x");
        assertThat(Utf8.decode(new byte[0]).text()).isEmpty();
    }

    @Test
    void aProgressLineSaysHowFarAndHowLong() {
        assertThat(ProgressLine.line(new ProgressLine.Snapshot(3, 900), 12, 90))
                .isEqualTo("3 of 12 documents, 10 tokens/s, 4 min 30 s left");
        assertThat(ProgressLine.line(new ProgressLine.Snapshot(0, 0), 12, 10)).endsWith("unknown left");
    }

    @Test
    void aHeartbeatAfterTheEndOfItsTaskCountsNothingTwice() {
        TaskProgress tasks = new TaskProgress();
        ProgressLine.Snapshot two = new ProgressLine.Snapshot(2, 20);
        tasks.heartbeat(7, new ProgressLine.Snapshot(1, 10));
        tasks.heartbeat(8, new ProgressLine.Snapshot(1, 10));
        assertThat(tasks.snapshot()).isEqualTo(two);
        tasks.end(7, true, two);
        tasks.heartbeat(7, two);
        tasks.end(8, false, two);
        assertThat(tasks.snapshot()).isEqualTo(two);
    }

    @Test
    void helpAndVersionGoToStandardOutput() {
        assertThat(CommandRun.of("--help").out()).contains("generate").contains("score");
        assertThat(CommandRun.of("generate", "--help").out()).contains("--max-new-tokens");
        assertThat(CommandRun.of("--version").out()).startsWith("nosa ");
        assertThat(CommandRun.of().code()).isEqualTo(2);
    }
}
