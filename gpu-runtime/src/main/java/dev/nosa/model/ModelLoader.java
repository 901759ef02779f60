package dev.nosa.model;

import dev.nosa.backend.Backend;
import dev.nosa.backend.ImportanceWeights;
import dev.nosa.backend.Weight;
import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.checkpoint.CheckpointTensor;
import java.util.ArrayList;
import java.util.List;

/** Uploads a checkpoint's tensors by their Llama names, packed as the layers want them. */
public final class ModelLoader {
    private final ModelConfig config;
    private final Checkpoint checkpoint;
    private final Backend backend;
    private final boolean importance;

    private ModelLoader(ModelConfig config, Checkpoint checkpoint, Backend backend, boolean importance) {
        this.config = config;
        this.checkpoint = checkpoint;
        this.backend = backend;
        this.importance = importance;
    }

    /**
     * Loads all weights.
     *
     * @param importance whether the attention mode reads {@code A} and {@code delta}
     */
    public static LlamaModel load(ModelConfig config, Checkpoint checkpoint, Backend backend, boolean importance) {
        return new ModelLoader(config, checkpoint, backend, importance).model();
    }

    private LlamaModel model() {
        Weight embedding = matrix("model.embed_tokens.weight", config.vocabSize(), config.hidden());
        List<DecoderLayer> layers = new ArrayList<>();
        for (int i = 0; i < config.layers(); i++) {
            layers.add(layer("model.layers." + i + "."));
        }
        Weight norm = vector("model.norm.weight", config.hidden());
        Weight head =
                config.tiedEmbeddings() ? embedding : matrix("lm_head.weight", config.vocabSize(), config.hidden());
        return new LlamaModel(config, backend, embedding, layers, norm, head);
    }

    private DecoderLayer layer(String prefix) {
        String attention = prefix + "self_attn.";
        String mlp = prefix + "mlp.";
        int hidden = config.hidden();
        int queries = config.heads() * config.headDim();
        int values = config.kvHeads() * config.headDim();
        return new DecoderLayer(
                vector(prefix + "input_layernorm.weight", hidden),
                backend.upload(List.of(
                        checkpoint.tensor(attention + "q_proj.weight", queries, hidden),
                        checkpoint.tensor(attention + "k_proj.weight", values, hidden),
                        checkpoint.tensor(attention + "v_proj.weight", values, hidden))),
                config.attentionBias() ? qkvBias(attention, queries, values) : null,
                importance ? importance(attention, values) : null,
                matrix(attention + "o_proj.weight", hidden, queries),
                config.attentionBias() ? vector(attention + "o_proj.bias", hidden) : null,
                vector(prefix + "post_attention_layernorm.weight", hidden),
                backend.upload(List.of(
                        checkpoint.tensor(mlp + "gate_proj.weight", config.intermediate(), hidden),
                        checkpoint.tensor(mlp + "up_proj.weight", config.intermediate(), hidden))),
                matrix(mlp + "down_proj.weight", hidden, config.intermediate()));
    }

    private Weight qkvBias(String attention, int queries, int values) {
        return backend.uploadVector(List.of(
                checkpoint.tensor(attention + "q_proj.bias", queries),
                checkpoint.tensor(attention + "k_proj.bias", values),
                checkpoint.tensor(attention + "v_proj.bias", values)));
    }

    private ImportanceWeights importance(String attention, int values) {
        int heads = config.kvHeads();
        return new ImportanceWeights(
                vector(attention + "A", heads),
                matrix(attention + "delta.weight", heads, values),
                config.attentionBias() ? vector(attention + "delta.bias", heads) : null);
    }

    private Weight matrix(String name, int rows, int cols) {
        CheckpointTensor tensor = checkpoint.tensor(name, rows, cols);
        return backend.upload(List.of(tensor));
    }

    private Weight vector(String name, int size) {
        return backend.uploadVector(List.of(checkpoint.tensor(name, size)));
    }
}
