package dev.nosa.reference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.nosa.model.ModelConfig;
import dev.nosa.model.RopeConfig;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.testkit.TinyModel;
import dev.nosa.testkit.Weight;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The reference against formulas by hand, and against dense attention where the two must agree. */
class ReferenceModelTest {
    private static final Offset<Double> EXACT = within(1e-9);
    private static final int BLOCK = 16;
    private static final int TOP_K = 6;

    private final TinyModel model = TinyModel.builder().build();

    @Test
    void oneTokenGivesTheLogitsWorkedOutByHand() {
        SparseConfig sparse = new SparseConfig(16, 8, 4, 1, 1, 6, 2, 0);
        ModelConfig config = new ModelConfig(
                1,
                2,
                1,
                1,
                1,
                2,
                2,
                64,
                0f,
                new RopeConfig(new float[] {1}, 1f),
                false,
                false,
                0,
                Set.of(),
                true,
                AttentionMode.NOSA,
                sparse);
        double[] logits = new ReferenceModel(config, AttentionMode.NOSA, handMadeWeights())
                .run(new int[] {1})
                .logits()[0];
        // The normed input n is (3, 4) / r; one token attends itself, so x = (3, 4) + n, parallel to (3, 4): n again.
        double r = Math.sqrt(12.5);
        double gate = 3 / r;
        double x0 = 3 + 3 / r + gate / (1 + Math.exp(-gate)) * (4 / r);
        double x1 = 4 + 4 / r;
        double last = Math.sqrt((x0 * x0 + x1 * x1) / 2);
        assertThat(logits).containsExactly(new double[] {x0 / last, 2 * x1 / last}, EXACT);
    }

    private static Map<String, Weight> handMadeWeights() {
        float[] identity = {1, 0, 0, 1};
        Map<String, Weight> weights = new HashMap<>();
        weights.put("model.embed_tokens.weight", new Weight(new long[] {2, 2}, new float[] {9, 9, 3, 4}));
        weights.put("model.norm.weight", new Weight(new long[] {2}, new float[] {1, 2}));
        weights.put("lm_head.weight", new Weight(new long[] {2, 2}, identity));
        String layer = "model.layers.0.";
        for (String norm : new String[] {"input_layernorm.weight", "post_attention_layernorm.weight"}) {
            weights.put(layer + norm, new Weight(new long[] {2}, new float[] {1, 1}));
        }
        for (String name : new String[] {"q_proj", "k_proj", "v_proj", "o_proj"}) {
            weights.put(layer + "self_attn." + name + ".weight", new Weight(new long[] {2, 2}, identity));
        }
        weights.put(layer + "self_attn.A", new Weight(new long[] {1}, new float[] {1}));
        weights.put(layer + "self_attn.delta.weight", new Weight(new long[] {1, 2}, new float[] {1, 1}));
        weights.put(layer + "mlp.gate_proj.weight", new Weight(new long[] {1, 2}, new float[] {1, 0}));
        weights.put(layer + "mlp.up_proj.weight", new Weight(new long[] {1, 2}, new float[] {0, 1}));
        weights.put(layer + "mlp.down_proj.weight", new Weight(new long[] {2, 1}, new float[] {1, 0}));
        return weights;
    }

    @Test
    void ropeTurnsTheHalvesOfAHeadAgainstEachOther() {
        float[] frequencies = {1, 0.5f};
        double[] turned = ReferenceMath.rope(new double[] {1, 2, 3, 4}, 3, frequencies, 2);
        assertThat(turned[0]).isEqualTo(2 * (Math.cos(3) - 3 * Math.sin(3)), EXACT);
        assertThat(turned[1]).isEqualTo(2 * (2 * Math.cos(1.5) - 4 * Math.sin(1.5)), EXACT);
        assertThat(turned[2]).isEqualTo(2 * (3 * Math.cos(3) + Math.sin(3)), EXACT);
        assertThat(turned[3]).isEqualTo(2 * (4 * Math.cos(1.5) + 2 * Math.sin(1.5)), EXACT);
    }

    @Test
    void importanceIsAScaledSoftplusOfTheWholeValueRow() {
        LayerTrace layer = run(AttentionMode.NOSA, 5).layers().get(1);
        float[] a = model.weights().get("model.layers.1.self_attn.A").values();
        float[] delta =
                model.weights().get("model.layers.1.self_attn.delta.weight").values();
        double sum = 0;
        for (int i = 0; i < 64; i++) {
            sum += delta[64 + i] * layer.value()[4][i / 32][i % 32];
        }
        assertThat(layer.importance()[1][4]).isEqualTo(a[1] * Math.log(1 + Math.exp(sum)), EXACT);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, BLOCK - 1, TOP_K * BLOCK})
    void upToKBlocksEqualDenseCausalAttentionWithTheBias(int tokens) {
        for (LayerTrace layer : run(AttentionMode.NOSA, tokens).layers()) {
            assertDense(layer, true);
        }
    }

    @Test
    void modeFullEqualsDenseCausalAttentionWithoutTheBias() {
        for (LayerTrace layer : run(AttentionMode.FULL, 150).layers()) {
            assertDense(layer, false);
        }
    }

    @Test
    void theFirstTokenAfterKBlocksLeavesOneBlockOut() {
        LayerTrace layer = run(AttentionMode.NOSA, TOP_K * BLOCK + 1).layers().get(0);
        assertThat(layer.rows()[TOP_K * BLOCK - 1][0].blocks()).hasSize(TOP_K);
        assertThat(layer.rows()[TOP_K * BLOCK][0].blocks()).hasSize(TOP_K).contains(0, TOP_K - 1, TOP_K);
    }

    @ParameterizedTest
    @ValueSource(strings = {"nosa", "infllm_v2", "dma"})
    void selectionsDifferBetweenHeadsAndPositions(String mode) {
        LayerTrace layer = run(AttentionMode.parse(mode), 400).layers().get(1);
        Set<String> selections = new HashSet<>();
        for (int position = 320; position < 336; position++) {
            for (LayerTrace.HeadRow row : layer.rows()[position]) {
                assertThat(row.blocks()).hasSize(TOP_K);
                selections.add(Arrays.toString(row.blocks()));
            }
        }
        assertThat(selections).hasSizeGreaterThan(1);
    }

    @Test
    void logitsOfAPositionDoNotDependOnWhatFollows() {
        double[][] longer = run(AttentionMode.NOSA, 200).logits();
        double[][] shorter = run(AttentionMode.NOSA, 131).logits();
        assertThat(shorter[130]).containsExactly(longer[130], EXACT);
    }

    private ReferenceModel.Run run(AttentionMode mode, int tokens) {
        int[] ids = new Random(tokens == 200 ? 131 : tokens)
                .ints(tokens, 0, model.config().vocabSize())
                .toArray();
        return new ReferenceModel(model.config(), mode, model.weights()).run(ids);
    }

    /** Written apart from the reference's attention: one pass over all earlier tokens. */
    private static void assertDense(LayerTrace layer, boolean withBias) {
        for (int i = 0; i < layer.positions().length; i++) {
            for (int h = 0; h < 4; h++) {
                double[] sum = new double[32];
                double total = 0;
                for (int t = 0; t <= i; t++) {
                    double logit = ReferenceMath.dot(layer.query()[i][h], layer.key()[t][h / 2]) / Math.sqrt(32);
                    double weight = Math.exp(logit + (withBias ? layer.importance()[h / 2][t] : 0));
                    total += weight;
                    for (int d = 0; d < 32; d++) {
                        sum[d] += weight * layer.value()[t][h / 2][d];
                    }
                }
                for (int d = 0; d < 32; d++) {
                    assertThat(layer.attention()[i][h][d]).isEqualTo(sum[d] / total, EXACT);
                }
            }
        }
    }
}
