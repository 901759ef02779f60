package dev.nosa.reference;

import dev.nosa.model.ModelConfig;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.testkit.Weight;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/**
 * The whole model over a whole sequence, written from the NOSA specification alone: plain loops in double precision, no
 * cache, no chunks, no batches. Every implementation is held to it.
 */
final class ReferenceModel {
    private final ModelConfig config;
    private final AttentionMode mode;
    private final Map<String, Weight> weights;

    /** {@code weights} by Hugging Face name. */
    ReferenceModel(ModelConfig config, AttentionMode mode, Map<String, Weight> weights) {
        this.config = config;
        this.mode = mode;
        this.weights = weights;
    }

    /**
     * A run over a sequence.
     *
     * @param logits [t][vocab]
     * @param layers of each layer, a query row for every token
     */
    record Run(double[][] logits, List<LayerTrace> layers) {}

    Run run(int[] tokens) {
        int[] positions = IntStream.range(0, tokens.length).toArray();
        double[][] hidden = embed(tokens);
        List<LayerTrace> traces = new ArrayList<>();
        for (int layer = 0; layer < config.layers(); layer++) {
            LayerTrace trace = attention(layer, hidden, positions);
            traces.add(trace);
            hidden = afterAttention(layer, hidden, trace.attention());
        }
        double[][] last = hidden;
        String output = config.tiedEmbeddings() ? "model.embed_tokens.weight" : "lm_head.weight";
        return new Run(
                eachToken(
                        tokens.length,
                        t -> ReferenceMath.linear(values(output), null, norm("model.norm.weight", last[t]))),
                traces);
    }

    double[][] embed(int[] tokens) {
        float[] table = values("model.embed_tokens.weight");
        return eachToken(tokens.length, t -> {
            double[] row = new double[config.hidden()];
            for (int i = 0; i < row.length; i++) {
                row[i] = table[tokens[t] * row.length + i];
            }
            return row;
        });
    }

    /** Steps 1 to 8 of layer {@code layer} for the queries at {@code positions}. */
    LayerTrace attention(int layer, double[][] hidden, int[] positions) {
        String self = "model.layers." + layer + ".self_attn.";
        double[][] normed =
                eachToken(hidden.length, t -> norm("model.layers." + layer + ".input_layernorm.weight", hidden[t]));
        double[][] values = eachToken(normed.length, t -> linear(self + "v_proj", normed[t]));
        double[][][] key = heads(normed.length, t -> roped(linear(self + "k_proj", normed[t]), config.kvHeads(), t));
        double[][][] query = heads(
                positions.length,
                p -> roped(linear(self + "q_proj", normed[positions[p]]), config.heads(), positions[p]));
        double[][][] value = heads(values.length, t -> ReferenceMath.heads(values[t], config.kvHeads()));
        double[][] importance = mode.usesImportance() ? importance(self, values) : new double[0][];
        return new ReferenceAttention(config, mode).attend(positions, query, key, value, importance);
    }

    /** Step 2: [g][t]. */
    private double[][] importance(String self, double[][] values) {
        float[] a = values(self + "A");
        double[][] importance = new double[config.kvHeads()][values.length];
        for (int t = 0; t < values.length; t++) {
            double[] delta = linear(self + "delta", values[t]);
            for (int g = 0; g < config.kvHeads(); g++) {
                importance[g][t] = a[g] * ReferenceMath.softplus(delta[g]);
            }
        }
        return importance;
    }

    /** Step 9. */
    private double[][] afterAttention(int layer, double[][] hidden, double[][][] attention) {
        String prefix = "model.layers." + layer + ".";
        return eachToken(hidden.length, t -> {
            double[] joined =
                    Arrays.stream(attention[t]).flatMapToDouble(Arrays::stream).toArray();
            double[] x = ReferenceMath.plus(hidden[t], linear(prefix + "self_attn.o_proj", joined));
            double[] normed = norm(prefix + "post_attention_layernorm.weight", x);
            double[] gate = linear(prefix + "mlp.gate_proj", normed);
            double[] up = linear(prefix + "mlp.up_proj", normed);
            for (int i = 0; i < gate.length; i++) {
                gate[i] = ReferenceMath.silu(gate[i]) * up[i];
            }
            return ReferenceMath.plus(x, linear(prefix + "mlp.down_proj", gate));
        });
    }

    private double[][] roped(double[] row, int heads, int position) {
        double[][] split = ReferenceMath.heads(row, heads);
        for (int h = 0; h < heads; h++) {
            split[h] = ReferenceMath.rope(
                    split[h],
                    position,
                    config.rope().inverseFrequencies(),
                    config.rope().attentionFactor());
        }
        return split;
    }

    private double[] norm(String name, double[] x) {
        return ReferenceMath.rmsNorm(x, values(name), config.rmsNormEps());
    }

    private double[] linear(String name, double[] x) {
        Weight bias = weights.get(name + ".bias");
        return ReferenceMath.linear(values(name + ".weight"), bias == null ? null : bias.values(), x);
    }

    private float[] values(String name) {
        return weights.get(name).values();
    }

    private static double[][] eachToken(int count, IntFunction<double[]> row) {
        return IntStream.range(0, count).parallel().mapToObj(row).toArray(double[][]::new);
    }

    private static double[][][] heads(int count, IntFunction<double[][]> row) {
        return IntStream.range(0, count).parallel().mapToObj(row).toArray(double[][][]::new);
    }
}
