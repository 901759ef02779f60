package dev.nosa.reference;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.checkpoint.Checkpoints;
import dev.nosa.model.ModelConfig;
import dev.nosa.model.ModelConfigParser;
import dev.nosa.sparse.AttentionMode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The CUDA runner on the sample model. The vectors' answers are the greedy tokens of the CPU in F32, as {@link SampleModelTest}
 * shows, and their logits tell how close the second token was.
 */
@Tag("gpu")
class SampleModelGpuTest {
    private static final Logger log = LoggerFactory.getLogger(SampleModelGpuTest.class);

    private static final Path MODEL = Path.of("../sample-data/model");
    private static final Path VECTORS = Path.of("src/test/resources/vectors/sample-model.safetensors.gz");
    private static final int LONGEST = 20_000;
    private static final int CHUNK = 2048;

    /**
     * What BF16 may put between two logits: some ten roundings by 1/256 in each of 6 layers, of logits that reach 20, come to a few
     * tenths.
     */
    private static final float NOISE = 0.5f;

    /** A wrong answer of another kind than a close call would concern most documents. */
    private static final int MOST_CLOSE_CALLS = 2;

    private GoldenData vectors;
    private Checkpoint checkpoint;
    private ModelConfig model;
    private List<String> documents;

    @BeforeEach
    void open() throws IOException {
        vectors = new GoldenData(VECTORS);
        checkpoint = Checkpoints.open(MODEL);
        model = ModelConfigParser.parse(MODEL, checkpoint);
        JsonNode sample = new ObjectMapper().readTree(vectors.metadata("sample"));
        documents = StreamSupport.stream(sample.get("documents").spliterator(), false)
                .map(JsonNode::asText)
                .filter(id -> vectors.shape(id + ".tokens")[0] <= LONGEST)
                .toList();
    }

    @AfterEach
    void close() throws Exception {
        checkpoint.close();
    }

    private int maxTokens() {
        return documents.stream()
                .mapToInt(id -> vectors.shape(id + ".tokens")[0] + vectors.shape(id + ".answer")[0])
                .max()
                .orElseThrow();
    }

    /** Greedy tokens of every document. */
    private Map<String, int[]> answers(AttentionMode mode, int slots) {
        Map<String, int[]> answers = new LinkedHashMap<>();
        try (GpuRunnerHarness gpu = new GpuRunnerHarness(model, mode, checkpoint, slots, maxTokens())) {
            for (String id : documents) {
                int[] prompt = vectors.ints(id + ".tokens");
                gpu.open(0);
                int[] sequence = gpu.generate(0, prompt, vectors.shape(id + ".answer")[0], CHUNK);
                gpu.release(0);
                answers.put(id, Arrays.copyOfRange(sequence, prompt.length, sequence.length));
            }
        }
        return answers;
    }

    private int fewestSlots() {
        return GpuRunnerHarness.fewestSlots(model);
    }

    @Test
    void answersAreThoseOfTheCpuUpToCloseCalls() {
        assertThat(documents).hasSizeGreaterThan(10);
        assertClose(answers(AttentionMode.NOSA, fewestSlots()));
    }

    private void assertClose(Map<String, int[]> answers) {
        int closeCalls = 0;
        for (String id : documents) {
            int[] expected = vectors.ints(id + ".answer");
            int step = Arrays.mismatch(answers.get(id), expected);
            if (step >= 0) {
                closeCalls++;
                float gap = gap(id, step, answers.get(id)[step]);
                log.info("{}: step {} gives {} for {}, {} below", id, step, answers.get(id)[step], expected[step], gap);
                assertThat(gap)
                        .as("%s, step %d: logit gap to the CPU's token", id, step)
                        .isLessThan(NOISE);
            }
        }
        assertThat(closeCalls).as("documents with another token").isLessThanOrEqualTo(MOST_CLOSE_CALLS);
    }

    /** How far below the likeliest token's logit the CPU has {@code token}'s. */
    private float gap(String id, int step, int token) {
        int width = vectors.shape(id + ".top.tokens")[1];
        int[] tokens = vectors.ints(id + ".top.tokens");
        float[] logits = vectors.floats(id + ".top.logits");
        float largest = Float.NEGATIVE_INFINITY;
        float own = Float.NEGATIVE_INFINITY;
        for (int i = step * width; i < (step + 1) * width; i++) {
            largest = Math.max(largest, logits[i]);
            own = tokens[i] == token ? logits[i] : own;
        }
        return largest - own;
    }

    @Test
    void offloadedAndResidentRowsAnswerAlike() {
        Map<String, int[]> resident = answers(AttentionMode.NOSA, GpuRunnerHarness.allSlots(model, maxTokens()));
        Map<String, int[]> offloaded = answers(AttentionMode.NOSA, fewestSlots());
        assertClose(resident);
        List<String> other = documents.stream()
                .filter(id -> !Arrays.equals(resident.get(id), offloaded.get(id)))
                .toList();
        log.info("Other answers with all slots: {}", other);
        assertThat(other).as("sums in another order").hasSizeLessThanOrEqualTo(MOST_CLOSE_CALLS);
    }

    @ParameterizedTest
    @EnumSource(AttentionMode.class)
    void everyModeAnswersEveryDocument(AttentionMode mode) {
        answers(mode, fewestSlots()).forEach((id, answer) -> {
            log.info("{}, {}: {}", mode, id, Arrays.toString(answer));
            assertThat(IntStream.of(answer)).as(id).allMatch(token -> token >= 0 && token < model.vocabSize());
        });
    }
}
