package dev.nosa.reference;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.model.ModelConfig;
import dev.nosa.model.ModelConfigParser;
import dev.nosa.runner.SequenceOutput;
import dev.nosa.testkit.InMemoryCheckpoint;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The CPU runner held to what {@code training/nosa.py} computed: see the README beside the vectors. */
class VectorsTest {
    private static final Path VECTORS = Path.of("src/test/resources/vectors");
    private static final double TOLERANCE = 1e-3;

    @TempDir
    Path folder;

    static List<Path> cases() throws IOException {
        try (Stream<Path> files = Files.list(VECTORS)) {
            return files.filter(file -> file.toString().endsWith(".safetensors"))
                    .sorted()
                    .toList();
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void logitsSelectedBlocksAndGreedyTokensEqualTheVectors(Path file) throws IOException {
        GoldenData vectors = new GoldenData(file);
        Files.writeString(folder.resolve("config.json"), vectors.metadata("config"));
        Checkpoint checkpoint = new InMemoryCheckpoint(vectors.weights("weights."), "F32");
        ModelConfig model = ModelConfigParser.parse(folder, checkpoint);
        int[] prompt = vectors.ints("tokens");
        int[] decoded = vectors.ints("decode.tokens");
        int[] all =
                IntStream.concat(Arrays.stream(prompt), Arrays.stream(decoded)).toArray();
        int slots = RunnerHarness.fewestSlots(model);
        try (RunnerHarness runner = new RunnerHarness(model, model.mode(), checkpoint, slots, all.length)) {
            runner.open(0);
            float[][] logProbs = runner.split(
                    runner.run(runner.chunk(0, all, 0, prompt.length)).get(0));
            float[][] kept = Arrays.stream(vectors.ints("positions"))
                    .mapToObj(position -> logProbs[position])
                    .toArray(float[][]::new);
            assertClose(kept, vectors.rows("logits"));
            double[][] logits = vectors.rows("decode.logits");
            for (int t = 0; t < logits.length; t++) {
                SequenceOutput output =
                        runner.run(runner.decode(0, all, prompt.length + t)).get(0);
                float[][] step = runner.split(output);
                assertClose(step, new double[][] {logits[t]});
                assertThat(likeliest(step[0])).as("token of step %d", t).isEqualTo(decoded[t + 1]);
                assertThat(output.traffic().selected())
                        .as("blocks of step %d", t)
                        .isEqualTo(selected(vectors, t));
            }
        }
    }

    /** Blocks that step t attends, over layers and KV heads; -1 is padding. */
    private static long selected(GoldenData vectors, int t) {
        int[] blocks = vectors.ints("decode.selected");
        int perStep = blocks.length / vectors.shape("decode.selected")[0];
        return Arrays.stream(blocks, t * perStep, (t + 1) * perStep)
                .filter(block -> block >= 0)
                .count();
    }

    private static void assertClose(float[][] logProbs, double[][] logits) {
        assertThat(logProbs).hasSameDimensionsAs(new float[logits.length][logits[0].length]);
        for (int n = 0; n < logits.length; n++) {
            double max = Arrays.stream(logits[n]).max().orElseThrow();
            double sum = Arrays.stream(logits[n]).map(x -> Math.exp(x - max)).sum();
            for (int id = 0; id < logits[n].length; id++) {
                double expected = logits[n][id] - max - Math.log(sum);
                assertThat(Math.abs(logProbs[n][id] - expected))
                        .as("row %d, token %d: %s for %s", n, id, logProbs[n][id], expected)
                        .isLessThan(TOLERANCE);
            }
        }
    }

    private static int likeliest(float[] logProbs) {
        return IntStream.range(0, logProbs.length)
                .reduce((a, b) -> logProbs[b] > logProbs[a] ? b : a)
                .orElseThrow();
    }
}
