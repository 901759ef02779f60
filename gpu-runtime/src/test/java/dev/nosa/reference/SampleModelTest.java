package dev.nosa.reference;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.checkpoint.Checkpoints;
import dev.nosa.model.ModelConfig;
import dev.nosa.model.ModelConfigParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;

/**
 * The CPU backend held to what {@code training/nosa.py} computed with the sample model: see the README beside the
 * vectors. The system property {@code nosa.sample.tokens} is the longest prompt that is compared; 20000 takes all.
 */
class SampleModelTest {
    private static final Path MODEL = Path.of("../sample-data/model");
    private static final Path VECTORS = Path.of("src/test/resources/vectors/sample-model.safetensors.gz");
    private static final int LONGEST = Integer.getInteger("nosa.sample.tokens", 3800);
    private static final int CHUNK = 512;
    private static final double TOLERANCE = 1e-3;

    /** Below this margin F32 may rank two blocks either way. */
    private static final float TIE = 1e-5f;

    /** Of all selections. OpenBLAS rounds by the processor: one of 184 differs on a Xeon with AMX, none on an EPYC. */
    private static final double MOST_TIES = 2e-2;

    private final GoldenData vectors;
    private final Tally tally = new Tally();

    SampleModelTest() throws IOException {
        vectors = new GoldenData(VECTORS);
    }

    /** Selections that were compared, those of them that leave blocks out, and those that differ by a tie. */
    private static final class Tally {
        private int selections;
        private int choices;
        private int ties;
    }

    @Test
    void answersLogitsAndSelectedBlocksEqualTheReference() throws Exception {
        JsonNode sample = new ObjectMapper().readTree(vectors.metadata("sample"));
        assertThat(sha256(MODEL.resolve("model.safetensors")))
                .as("model of the vectors, which training/export_sample_vectors.py makes again")
                .isEqualTo(sample.get("weights").asText());
        List<String> documents = StreamSupport.stream(sample.get("documents").spliterator(), false)
                .map(JsonNode::asText)
                .filter(id -> vectors.shape(id + ".tokens")[0] <= LONGEST)
                .toList();
        assertThat(documents).as("documents of at most %d tokens", LONGEST).isNotEmpty();
        try (Checkpoint checkpoint = Checkpoints.open(MODEL)) {
            ModelConfig model = ModelConfigParser.parse(MODEL, checkpoint);
            compare(documents, model, checkpoint);
            int steps = documents.stream()
                    .mapToInt(id -> vectors.shape(id + ".answer")[0])
                    .sum();
            assertThat(tally.selections).as("compared selections").isEqualTo(steps * model.layers() * model.kvHeads());
        }
        assertThat(tally.choices).as("selections that leave blocks out").isGreaterThan(tally.selections / 2);
        double share = (double) tally.ties / tally.selections;
        assertThat(share).as("share of ties").isLessThanOrEqualTo(MOST_TIES);
    }

    private void compare(List<String> documents, ModelConfig model, Checkpoint checkpoint) {
        int longest =
                documents.stream().mapToInt(id -> sequence(id).length).max().orElseThrow();
        try (SelectionProbe probe = new SelectionProbe(model, checkpoint, longest)) {
            for (String id : documents) {
                probe.open();
                compare(id, probe, model.sparse().blockSize());
                probe.release();
            }
        }
    }

    /** The prompt and the tokens of the answer, of which the last one is not fed. */
    private int[] sequence(String id) {
        return IntStream.concat(
                        Arrays.stream(vectors.ints(id + ".tokens")), Arrays.stream(vectors.ints(id + ".answer")))
                .toArray();
    }

    private void compare(String id, SelectionProbe probe, int blockSize) {
        int[] sequence = sequence(id);
        int[] answer = vectors.ints(id + ".answer");
        int last = sequence.length - answer.length - 1;
        for (int from = 0; from < last; from += CHUNK) {
            probe.prefill(sequence, from, Math.min(from + CHUNK, last));
        }
        for (int step = 0; step < answer.length; step++) {
            int position = last + step;
            SelectionProbe.Step forked = probe.decodeInFork(sequence, position);
            float[] logits =
                    step == 0 ? probe.prefill(sequence, position, position + 1) : probe.decode(sequence, position);
            assertThat(likeliest(logits)).as("%s, token of step %d", id, step).isEqualTo(answer[step]);
            compareLogits(id, step, logits);
            compareLogits(id, step, forked.logits());
            compareBlocks(id, step, forked.blocks(), position / blockSize + 1);
        }
    }

    private void compareLogits(String id, int step, float[] logits) {
        int[] shape = vectors.shape(id + ".top.tokens");
        int[] tokens = vectors.ints(id + ".top.tokens");
        float[] expected = vectors.floats(id + ".top.logits");
        for (int i = step * shape[1]; i < (step + 1) * shape[1]; i++) {
            compareLogit(id, step, tokens[i], logits[tokens[i]], expected[i]);
        }
        if (step == shape[0] - 1) {
            float[] all = vectors.floats(id + ".last.logits");
            assertThat(logits).hasSameSizeAs(all);
            for (int token = 0; token < all.length; token++) {
                compareLogit(id, step, token, logits[token], all[token]);
            }
        }
    }

    private void compareLogit(String id, int step, int token, float logit, float expected) {
        double difference = Math.abs((double) logit - expected);
        assertThat(difference)
                .as("%s, step %d, logit of token %d: %s for %s", id, step, token, logit, expected)
                .isLessThan(TOLERANCE);
    }

    private void compareBlocks(String id, int step, int[][][] blocks, int causal) {
        int[] shape = vectors.shape(id + ".selected");
        assertThat(shape).startsWith(vectors.shape(id + ".answer")[0], blocks.length, blocks[0].length);
        int[] selected = vectors.ints(id + ".selected");
        float[] margins = vectors.floats(id + ".margins");
        for (int layer = 0; layer < shape[1]; layer++) {
            for (int head = 0; head < shape[2]; head++) {
                int row = (step * shape[1] + layer) * shape[2] + head;
                int[] expected = Arrays.stream(selected, row * shape[3], (row + 1) * shape[3])
                        .filter(block -> block >= 0)
                        .toArray();
                int[] actual = blocks[layer][head];
                tally.selections++;
                tally.choices += actual.length < causal ? 1 : 0;
                if (!Arrays.equals(actual, expected)) {
                    tally.ties++;
                    assertThat(Math.min(margins[2 * row], margins[2 * row + 1]))
                            .as("%s, step %d, layer %d, head %d: margin of another selection", id, step, layer, head)
                            .isLessThan(TIE);
                }
            }
        }
    }

    private static int likeliest(float[] logits) {
        return IntStream.range(0, logits.length)
                .reduce((a, b) -> logits[b] > logits[a] ? b : a)
                .orElseThrow();
    }

    private static String sha256(Path file) throws IOException, NoSuchAlgorithmException {
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file));
        return HexFormat.of().formatHex(digest);
    }
}
