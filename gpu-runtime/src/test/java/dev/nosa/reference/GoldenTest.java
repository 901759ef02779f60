package dev.nosa.reference;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.checkpoint.Checkpoints;
import dev.nosa.model.ModelConfig;
import dev.nosa.model.ModelConfigParser;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.testkit.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The reference, step by step, and the CPU runner, end to end, against what the public BF16 implementation computed. The
 * system property {@code nosa.golden} names the folder of that data; without it these tests are skipped.
 *
 * <p>A step is checked from the recorded inputs of that step, so that one step's BF16 rounding does not hide another's
 * error. Recorded importance pools every window of the sequence; in these budgets that differs from windows that are
 * complete at the query's position in forced blocks only.
 */
class GoldenTest {
    /**
     * What BF16 costs the recorded logits where the same blocks are attended: at most 4.2 %, which is how far the
     * reference in double precision is from them too.
     */
    private static final double RUNNER_TOLERANCE = 0.05;

    private static final int KV_HEADS = 2;
    private static final int GROUP = 16;

    private final ReferenceSelection selection = new ReferenceSelection(AttentionMode.NOSA, SparseConfig.DEFAULT);
    private Path folder;

    @TempDir
    Path temporary;

    @BeforeEach
    void goldenDataIsThere() {
        String property = System.getProperty("nosa.golden", "");
        Assumptions.assumeTrue(
                !property.isBlank(), "the system property nosa.golden does not name the folder of the golden data");
        folder = Path.of(property);
        assertThat(Files.isDirectory(folder))
                .as("nosa.golden = %s is a folder", folder)
                .isTrue();
    }

    @ParameterizedTest
    @ValueSource(strings = {"hf_700", "hf_6213"})
    void windowScoresFollowFromQueriesAndCompressedKeys(String run) throws IOException {
        GoldenData golden = golden(run);
        int[] positions = golden.ints("pos_sel");
        for (String layer : List.of("L0.", "L1.")) {
            double[][] expected = golden.rows(layer + "score_sel");
            double[][][] query = golden.heads(layer + "q_sel");
            double[][][] compressed = golden.heads(layer + "ck");
            for (int p = 0; p < positions.length; p++) {
                for (int g = 0; g < KV_HEADS; g++) {
                    int head = g;
                    int visible = selection.visibleWindows(positions[p]);
                    double[] scores = ReferenceSelection.windowScores(
                            Arrays.copyOfRange(query[p], GROUP * g, GROUP * (g + 1)),
                            Arrays.stream(compressed).map(j -> j[head]).toArray(double[][]::new),
                            visible);
                    double[] row = expected[g * positions.length + p];
                    assertThat(relativeError(scores, Arrays.copyOf(row, visible)))
                            .as("%s head %d position %d", layer, g, positions[p])
                            .isLessThan(0.01);
                    assertThat(Arrays.stream(row).skip(visible)).allMatch(score -> score == 0);
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"hf_700", "hf_6213"})
    void blockScoresFollowExactlyFromWindowScores(String run) throws IOException {
        GoldenData golden = golden(run);
        int[] positions = golden.ints("pos_sel");
        for (String layer : List.of("L0.", "L1.")) {
            double[][] scores = golden.rows(layer + "score_sel");
            double[][] importance = golden.rows(layer + "ccis");
            double[][] pooledScores = golden.rows(layer + "pooled_q_sel");
            double[][] pooledImportance = golden.rows(layer + "pooled_cis_sel");
            for (int row = 0; row < scores.length; row++) {
                int position = positions[row % positions.length];
                double[] byQuery = selection.blockScores(scores[row], position, 0);
                double[] byImportance =
                        selection.blockScores(importance[row / positions.length], position, Double.NEGATIVE_INFINITY);
                assertThat(byQuery.length).isEqualTo(position / 64 + 1);
                for (int b = 0; b < byQuery.length; b++) {
                    boolean forced = selection.isForced(b, position / 64);
                    double infinity = Double.POSITIVE_INFINITY;
                    assertThat(pooledScores[row][b]).isEqualTo(forced ? infinity : byQuery[b]);
                    assertThat(pooledImportance[row][b]).isEqualTo(forced ? infinity : byImportance[b]);
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"hf_700", "hf_6213"})
    void blocksFollowExactlyFromBlockScoresTiesIncluded(String run) throws IOException {
        GoldenData golden = golden(run);
        int[] positions = golden.ints("pos_sel");
        for (String layer : List.of("L0.", "L1.")) {
            double[][] queryScores = golden.rows(layer + "pooled_q_sel");
            double[][] importance = golden.rows(layer + "pooled_cis_sel");
            int[] blocks = golden.ints(layer + "topk_sel");
            for (int row = 0; row < queryScores.length; row++) {
                int position = positions[row % positions.length];
                assertThat(selection
                                .choose(position, queryScores[row], importance[row])
                                .blocks())
                        .containsExactly(recorded(blocks, row));
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"hf_700, 700", "hf_6213, 6213"})
    void blocksOfDecodeStepsFollowExactlyFromTheirBlockScores(String run, int start) throws IOException {
        GoldenData golden = golden(run);
        for (String layer : List.of("L0.", "L1.")) {
            double[][] queryScores = golden.rows(layer + "dec_pq");
            double[][] importance = golden.rows(layer + "dec_pcis");
            int[] blocks = golden.ints(layer + "dec_topk");
            for (int row = 0; row < queryScores.length; row++) {
                int position = start + row / KV_HEADS;
                assertThat(selection
                                .choose(position, queryScores[row], importance[row])
                                .blocks())
                        .as("%s step %d", layer, row / KV_HEADS)
                        .containsExactly(recorded(blocks, row));
            }
        }
    }

    @Test
    void compressedKeysAndAttentionFollowFromKeysAndValues() throws IOException {
        GoldenData golden = golden("hf_6213");
        LayerTrace trace = new ReferenceAttention(model().config(), AttentionMode.NOSA)
                .attend(
                        golden.ints("pos_sel"),
                        golden.heads("L0.q_sel"),
                        golden.heads("L0.k"),
                        golden.heads("L0.v"),
                        transposed(golden.rows("L0.cis")));
        assertTrace(golden, "L0.", trace, 0.02);
    }

    @ParameterizedTest
    @ValueSource(strings = {"hf_700", "hf_6213"})
    void firstLayerOfTheReferenceFollowsFromTheTokens(String run) throws IOException {
        GoldenData golden = golden(run);
        ReferenceModel reference = reference();
        LayerTrace trace = reference.attention(0, reference.embed(golden.ints("prompt")), golden.ints("pos_sel"));
        assertThat(relativeError(flat(trace.query()), flat(golden.heads("L0.q_sel"))))
                .isLessThan(0.01);
        assertTrace(golden, "L0.", trace, 0.03);
    }

    @Test
    void blockScoresOfDecodeStepsFollowFromTheTokensAndRankAlikeUpToRounding() throws IOException {
        GoldenData golden = golden("hf_6213");
        int start = golden.ints("prompt").length;
        double[][] recordedQuery = golden.rows("L0.dec_pq");
        double[][] recordedImportance = golden.rows("L0.dec_pcis");
        int steps = recordedQuery.length / KV_HEADS;
        int[] tokens = IntStream.concat(
                        Arrays.stream(golden.ints("prompt")),
                        Arrays.stream(golden.ints("gen")).limit(steps))
                .toArray();
        int[] positions = IntStream.range(start, start + steps).toArray();
        ReferenceModel reference = reference();
        LayerTrace trace = reference.attention(0, reference.embed(tokens), positions);
        ReferenceSelection firstCut =
                new ReferenceSelection(AttentionMode.INFLLM_V2, new SparseConfig(64, 32, 16, 1, 16, 33, 16, 0));
        ReferenceSelection secondCut = new ReferenceSelection(AttentionMode.DMA, SparseConfig.DEFAULT);
        for (int row = 0; row < recordedQuery.length; row++) {
            int position = start + row / KV_HEADS;
            LayerTrace.HeadRow own = trace.rows()[row / KV_HEADS][row % KV_HEADS];
            assertRankAlike(firstCut, position, own.queryScores(), recordedQuery[row]);
            int[] taken = firstCut.choose(position, recordedQuery[row], recordedImportance[row])
                    .blocks();
            assertRankAlike(
                    secondCut,
                    position,
                    without(own.importanceScores(), taken),
                    without(recordedImportance[row], taken));
        }
    }

    /** The scores, those of blocks that the first cut took raised so that the second cut takes them first. */
    private static double[] without(double[] scores, int[] taken) {
        double[] raised = scores.clone();
        for (int b : taken) {
            raised[b] = Double.POSITIVE_INFINITY;
        }
        return raised;
    }

    /** Block scores agree, and blocks that only one of the two selects have own scores that BF16 hardly tells apart. */
    private void assertRankAlike(ReferenceSelection cut, int position, double[] own, double[] recorded) {
        int[] unforced = IntStream.range(0, own.length)
                .filter(b -> !cut.isForced(b, position / 64) && own[b] < Double.POSITIVE_INFINITY)
                .toArray();
        double error = relativeError(
                Arrays.stream(unforced).mapToDouble(b -> own[b]).toArray(),
                Arrays.stream(unforced).mapToDouble(b -> recorded[b]).toArray());
        int[] ownBlocks = cut.choose(position, own, own).blocks();
        int[] recordedBlocks = cut.choose(position, recorded, recorded).blocks();
        double[] disputed = Arrays.stream(unforced)
                .filter(b -> Arrays.binarySearch(ownBlocks, b) >= 0 != Arrays.binarySearch(recordedBlocks, b) >= 0)
                .mapToDouble(b -> own[b])
                .sorted()
                .toArray();
        double spread = disputed.length == 0 ? 0 : 1 - disputed[0] / disputed[disputed.length - 1];
        assertThat(error).as("block scores at %d", position).isLessThan(0.005);
        assertThat(spread).as("disputed blocks at %d: %s", position, disputed).isLessThan(0.01);
    }

    @Test
    void wholeReferenceFollowsFromTheTokens() throws IOException {
        GoldenData golden = golden("hf_700");
        ReferenceModel.Run run = reference().run(golden.ints("prompt"));
        assertTrace(golden, "L1.", at(run.layers().get(1), golden.ints("pos_sel")), 0.03);
        assertThat(relativeError(run.logits()[699], golden.rows("logits_prompt")[0]))
                .isLessThan(0.04);
    }

    @ParameterizedTest
    @ValueSource(strings = {"hf_700", "hf_6213"})
    void runnerGivesTheLogitsOfPromptAndDecodeSteps(String run) throws IOException {
        GoldenData golden = golden(run);
        int[] prompt = golden.ints("prompt");
        int[] generated = golden.ints("gen");
        int[] tokens = IntStream.concat(Arrays.stream(prompt), Arrays.stream(generated))
                .toArray();
        double[][] expected = golden.rows("dec_logits");
        model().writeTo(temporary);
        try (Checkpoint checkpoint = Checkpoints.open(temporary)) {
            ModelConfig config = ModelConfigParser.parse(temporary, checkpoint);
            int slots = 2 * config.sparse().topK();
            try (RunnerHarness runner =
                    new RunnerHarness(config, AttentionMode.NOSA, checkpoint, slots, tokens.length)) {
                runner.open(0);
                for (int from = 0; from < prompt.length - 1; from += 256) {
                    runner.run(runner.silentChunk(0, tokens, from, Math.min(from + 256, prompt.length - 1)));
                }
                float[] last = runner.split(runner.run(runner.chunk(0, tokens, prompt.length - 1, prompt.length))
                        .get(0))[0];
                assertThat(logitError(last, golden.rows("logits_prompt")[0])).isLessThan(RUNNER_TOLERANCE);
                List<Double> errors = new ArrayList<>();
                for (int step = 0; step < expected.length; step++) {
                    float[] logProbs = runner.split(runner.run(runner.decode(0, tokens, prompt.length + step))
                            .get(0))[0];
                    errors.add(logitError(logProbs, expected[step]));
                }
                errors.sort(null);
                // BF16 scores rank blocks at the cuts otherwise in half of the recorded decode rows of hf_6213, see
                // blockScoresOfDecodeStepsFollowFromTheTokensAndRankAlikeUpToRounding: those steps attend another block
                // or two. hf_700 has fewer blocks than the budget, so nothing is selected.
                boolean selects = run.equals("hf_6213");
                assertThat(errors.get(0)).isLessThan(RUNNER_TOLERANCE);
                assertThat(errors.get(errors.size() / 2)).isLessThan(selects ? 0.1 : RUNNER_TOLERANCE);
                assertThat(errors.get(errors.size() - 1)).isLessThan(selects ? 0.3 : RUNNER_TOLERANCE);
            }
        }
    }

    private void assertTrace(GoldenData golden, String layer, LayerTrace trace, double tolerance) {
        int[] blocks = golden.ints(layer + "topk_sel");
        double[][][] compressed = golden.heads(layer + "ck");
        for (int g = 0; g < KV_HEADS; g++) {
            int head = g;
            assertThat(relativeError(trace.importance()[g], transposed(golden.rows(layer + "cis"))[g]))
                    .isLessThan(tolerance);
            assertThat(relativeError(trace.compressedImportance()[g], golden.rows(layer + "ccis")[g]))
                    .isLessThan(tolerance);
            double[][] keys = Arrays.stream(compressed).map(j -> j[head]).toArray(double[][]::new);
            assertThat(relativeError(flat(trace.compressedKeys()[g]), flat(keys)))
                    .isLessThan(tolerance);
            for (int p = 0; p < trace.positions().length; p++) {
                int row = g * trace.positions().length + p;
                assertThat(trace.rows()[p][g].blocks())
                        .as("%s head %d position %d", layer, g, trace.positions()[p])
                        .containsExactly(recorded(blocks, row));
            }
        }
        assertThat(relativeError(flat(trace.attention()), flat(golden.heads(layer + "attn_sel"))))
                .isLessThan(tolerance);
    }

    private static LayerTrace at(LayerTrace layer, int[] positions) {
        return new LayerTrace(
                positions,
                Arrays.stream(positions).mapToObj(i -> layer.query()[i]).toArray(double[][][]::new),
                layer.key(),
                layer.value(),
                layer.importance(),
                layer.compressedKeys(),
                layer.compressedImportance(),
                Arrays.stream(positions).mapToObj(i -> layer.rows()[i]).toArray(LayerTrace.HeadRow[][]::new),
                Arrays.stream(positions).mapToObj(i -> layer.attention()[i]).toArray(double[][][]::new));
    }

    /** Row {@code row} of a table of 64 columns, without the padding. */
    private static int[] recorded(int[] blocks, int row) {
        return Arrays.stream(blocks, 64 * row, 64 * (row + 1))
                .filter(b -> b >= 0)
                .toArray();
    }

    /** Error of logits that are known up to a constant. */
    private static double logitError(float[] logProbs, double[] logits) {
        double[] actual = new double[logits.length];
        double shift = 0;
        for (int i = 0; i < actual.length; i++) {
            shift += (logits[i] - logProbs[i]) / actual.length;
        }
        for (int i = 0; i < actual.length; i++) {
            actual[i] = logProbs[i] + shift;
        }
        return relativeError(actual, logits);
    }

    private static double relativeError(double[] actual, double[] expected) {
        assertThat(actual).hasSameSizeAs(expected);
        double difference = 0;
        double norm = 1e-30;
        for (int i = 0; i < actual.length; i++) {
            difference += (actual[i] - expected[i]) * (actual[i] - expected[i]);
            norm += expected[i] * expected[i];
        }
        return Math.sqrt(difference / norm);
    }

    private static double[] flat(double[][] rows) {
        return Arrays.stream(rows).flatMapToDouble(Arrays::stream).toArray();
    }

    private static double[] flat(double[][][] rows) {
        return Arrays.stream(rows).flatMapToDouble(r -> Arrays.stream(flat(r))).toArray();
    }

    private static double[][] transposed(double[][] rows) {
        return IntStream.range(0, rows[0].length)
                .mapToObj(c -> Arrays.stream(rows).mapToDouble(row -> row[c]).toArray())
                .toArray(double[][]::new);
    }

    private GoldenData golden(String file) throws IOException {
        return new GoldenData(folder.resolve(file + ".safetensors"));
    }

    private ReferenceModel reference() throws IOException {
        TinyModel model = model();
        return new ReferenceModel(model.config(), AttentionMode.NOSA, model.weights());
    }

    /** The golden weights as a test-kit model, so that they can be written as a checkpoint folder. */
    private TinyModel model() throws IOException {
        ModelConfig config = TinyModel.builder()
                .hidden(256)
                .heads(32)
                .headDim(128)
                .intermediate(512)
                .vocab(512)
                .maxPositions(8192)
                .sparse(SparseConfig.DEFAULT)
                .build()
                .config();
        return new TinyModel(config, golden("weights").weights(), "BF16", 1);
    }
}
