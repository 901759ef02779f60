package dev.nosa.testkit;

import dev.nosa.model.ModelConfig;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/**
 * Seeded random weights under Hugging Face names. Each tensor's values depend on the seed, its name and its size alone.
 * The scales keep attention far from uniform, spread the importance over tokens, and so make selections vary.
 */
final class TinyWeights {
    private static final double QUERY_KEY_GAIN = 1.5;
    private static final double DELTA_GAIN = 1.5;
    private static final double BIAS_SCALE = 0.3;

    private final ModelConfig config;
    private final boolean bfloat16;
    private final long seed;
    private final Map<String, Weight> weights = new LinkedHashMap<>();

    TinyWeights(ModelConfig config, boolean bfloat16, long seed) {
        this.config = config;
        this.bfloat16 = bfloat16;
        this.seed = seed;
    }

    Map<String, Weight> generate() {
        int hidden = config.hidden();
        double outputScale = 2 / Math.sqrt(hidden);
        double embeddingScale = config.tiedEmbeddings() ? outputScale : 0.5;
        normal("model.embed_tokens.weight", 0, embeddingScale, config.vocabSize(), hidden);
        for (int layer = 0; layer < config.layers(); layer++) {
            String prefix = "model.layers." + layer + ".";
            norm(prefix + "input_layernorm.weight");
            attention(prefix + "self_attn.");
            norm(prefix + "post_attention_layernorm.weight");
            linear(prefix + "mlp.gate_proj", 1, config.intermediate(), hidden, false);
            linear(prefix + "mlp.up_proj", 1, config.intermediate(), hidden, false);
            linear(prefix + "mlp.down_proj", 1, hidden, config.intermediate(), false);
        }
        norm("model.norm.weight");
        if (!config.tiedEmbeddings()) {
            normal("lm_head.weight", 0, outputScale, config.vocabSize(), hidden);
        }
        return weights;
    }

    private void attention(String prefix) {
        int hidden = config.hidden();
        int queryWidth = config.heads() * config.headDim();
        int keyWidth = config.kvHeads() * config.headDim();
        boolean bias = config.attentionBias();
        linear(prefix + "q_proj", QUERY_KEY_GAIN, queryWidth, hidden, bias);
        linear(prefix + "k_proj", QUERY_KEY_GAIN, keyWidth, hidden, bias);
        linear(prefix + "v_proj", 1, keyWidth, hidden, bias);
        linear(prefix + "o_proj", 1, hidden, queryWidth, bias);
        if (config.importance()) {
            normal(prefix + "A", 1, 0.3, config.kvHeads());
            linear(prefix + "delta", DELTA_GAIN, config.kvHeads(), keyWidth, bias);
        }
    }

    private void norm(String name) {
        normal(name, 1, 0.1, config.hidden());
    }

    private void linear(String name, double gain, int out, int in, boolean bias) {
        normal(name + ".weight", 0, gain / Math.sqrt(in), out, in);
        if (bias) {
            normal(name + ".bias", 0, BIAS_SCALE, out);
        }
    }

    private void normal(String name, double mean, double deviation, long... shape) {
        long elements = 1;
        for (long size : shape) {
            elements *= size;
        }
        Random random = new Random(31 * seed + name.hashCode());
        float[] values = new float[Math.toIntExact(elements)];
        for (int i = 0; i < values.length; i++) {
            float value = (float) (mean + deviation * random.nextGaussian());
            values[i] = bfloat16 ? Weight.roundToBfloat16(value) : value;
        }
        weights.put(name, new Weight(shape, values));
    }
}
