package dev.nosa.model;

import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.checkpoint.CheckpointException;
import dev.nosa.checkpoint.SimilarNames;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** Reads {@code config.json} and {@code generation_config.json} in Hugging Face's Llama spelling. */
public final class ModelConfigParser {
    private static final String FILE = "config.json";
    private static final String GENERATION_FILE = "generation_config.json";
    private static final String SPARSE = "sparse_config";
    private static final String IMPORTANCE = "model.layers.0.self_attn.A";
    private static final String OUTPUT = "lm_head.weight";
    private static final Set<String> MODEL_TYPES = Set.of("llama", "nosa");
    private static final int MIN_HEAD_DIM = 32;
    private static final int MAX_HEAD_DIM = 256;
    private static final List<String> SPARSE_KEYS = List.of(
            "kernel_size",
            "kernel_stride",
            "init_blocks",
            "block_size",
            "window_size",
            "topk",
            "topk_q",
            "dense_len",
            "mode");

    private final ConfigSection config;
    private final ConfigSection generation;
    private final Checkpoint checkpoint;

    private ModelConfigParser(ConfigSection config, ConfigSection generation, Checkpoint checkpoint) {
        this.config = config;
        this.generation = generation;
        this.checkpoint = checkpoint;
    }

    /**
     * The model of folder {@code dir}, whose tensors say whether it has the importance head and an output matrix. What
     * is missing, out of range or not supported is a {@link CheckpointException}.
     */
    public static ModelConfig parse(Path dir, Checkpoint checkpoint) {
        Path generation = dir.resolve(GENERATION_FILE);
        return new ModelConfigParser(
                        ConfigSection.read(dir.resolve(FILE)),
                        Files.exists(generation) ? ConfigSection.read(generation) : ConfigSection.empty(generation),
                        checkpoint)
                .model();
    }

    private ModelConfig model() {
        checkSupported();
        int hidden = config.positiveInt("hidden_size");
        int heads = config.positiveInt("num_attention_heads");
        int headDim = headDim(hidden, heads);
        int vocabSize = config.positiveInt("vocab_size");
        int maxPositions = config.positiveInt("max_position_embeddings");
        boolean importance = checkpoint.has(IMPORTANCE);
        return new ModelConfig(
                config.positiveInt("num_hidden_layers"),
                hidden,
                config.positiveInt("intermediate_size"),
                heads,
                kvHeads(heads),
                headDim,
                vocabSize,
                maxPositions,
                (float) config.positiveNumber("rms_norm_eps", 1e-6),
                RopeScaling.parse(config, headDim, maxPositions),
                tiedEmbeddings(),
                config.bool("attention_bias", false),
                bosToken(vocabSize),
                eosTokens(vocabSize),
                importance,
                mode(importance),
                sparse());
    }

    private void checkSupported() {
        String type = config.text("model_type", "");
        if (type.startsWith("minicpm")) {
            throw config.error(
                    "model_type", "MiniCPM is not supported yet (its scale_emb, scale_depth and dim_model_base)");
        }
        if (!MODEL_TYPES.contains(type)) {
            throw config.error("model_type", "only llama is supported, with or without NOSA's importance head");
        }
        if (!config.text("hidden_act", "silu").equals("silu")) {
            throw config.error("hidden_act", "only silu is supported");
        }
        if (config.bool("mlp_bias", false)) {
            throw config.error("mlp_bias", "biases in the MLP are not supported");
        }
        if (config.has("quantization_config")) {
            throw config.error("quantization_config", "quantized weights are not supported; use F32, F16 or BF16");
        }
    }

    private int headDim(int hidden, int heads) {
        if (!config.has("head_dim") && hidden % heads != 0) {
            throw config.error(
                    "hidden_size",
                    "must be a multiple of num_attention_heads = " + heads + " where head_dim is not given");
        }
        int headDim = config.intAtLeast(1, "head_dim", hidden / heads);
        if (headDim % 2 != 0 || headDim < MIN_HEAD_DIM || headDim > MAX_HEAD_DIM) {
            throw config.has("head_dim")
                    ? config.error("head_dim", "must be even, from " + MIN_HEAD_DIM + " to " + MAX_HEAD_DIM)
                    : config.error(
                            "hidden_size",
                            "must be num_attention_heads = " + heads + " times an even number from " + MIN_HEAD_DIM
                                    + " to " + MAX_HEAD_DIM);
        }
        return headDim;
    }

    private int kvHeads(int heads) {
        int kvHeads = config.intAtLeast(1, "num_key_value_heads", heads);
        if (heads % kvHeads != 0) {
            throw config.error("num_key_value_heads", "must divide num_attention_heads = " + heads);
        }
        return kvHeads;
    }

    private boolean tiedEmbeddings() {
        boolean tied = config.bool("tie_word_embeddings", false);
        if (!tied && !checkpoint.has(OUTPUT)) {
            throw config.error(
                    "tie_word_embeddings", "the checkpoint has no " + OUTPUT + ", so this would have to be true");
        }
        return tied;
    }

    private int bosToken(int vocabSize) {
        int bos = config.intAtLeast(-1, "bos_token_id", -1);
        if (bos >= vocabSize) {
            throw config.error("bos_token_id", "must be below vocab_size = " + vocabSize);
        }
        return bos;
    }

    private Set<Integer> eosTokens(int vocabSize) {
        Set<Integer> ids = new LinkedHashSet<>();
        for (ConfigSection section : List.of(config, generation)) {
            for (int id : section.oneOrMoreInts("eos_token_id")) {
                if (id >= vocabSize) {
                    throw section.error("eos_token_id", "must be below vocab_size = " + vocabSize);
                }
                ids.add(id);
            }
        }
        return ids;
    }

    private AttentionMode mode(boolean importance) {
        ConfigSection sparse = config.section(SPARSE);
        if (!sparse.has("mode")) {
            return importance ? AttentionMode.NOSA : config.has(SPARSE) ? AttentionMode.INFLLM_V2 : AttentionMode.FULL;
        }
        AttentionMode mode;
        try {
            mode = AttentionMode.parse(sparse.text("mode", ""));
        } catch (IllegalArgumentException e) {
            throw config.error(SPARSE + ".mode: " + e.getMessage(), e);
        }
        if (mode.usesImportance() && !importance) {
            throw sparse.error("mode", "needs " + IMPORTANCE + ", which the checkpoint does not have");
        }
        return mode;
    }

    private SparseConfig sparse() {
        ConfigSection sparse = config.section(SPARSE);
        for (String key : sparse.keys()) {
            if (!SPARSE_KEYS.contains(key)) {
                throw sparse.error(
                        key,
                        "unknown key; did you mean "
                                + SimilarNames.of(key, SPARSE_KEYS, 1).get(0) + "?");
            }
        }
        SparseConfig base = SparseConfig.DEFAULT;
        int blockSize = sparse.intAtLeast(1, "block_size", base.blockSize());
        int localTokens = sparse.intAtLeast(0, "window_size", base.localBlocks() * base.blockSize());
        if (localTokens % blockSize != 0) {
            throw sparse.error("window_size", "must be a multiple of block_size = " + blockSize);
        }
        try {
            return new SparseConfig(
                    blockSize,
                    sparse.intAtLeast(1, "kernel_size", base.window()),
                    sparse.intAtLeast(1, "kernel_stride", base.stride()),
                    sparse.intAtLeast(0, "init_blocks", base.initBlocks()),
                    localTokens / blockSize,
                    sparse.intAtLeast(1, "topk", base.topK()),
                    sparse.intAtLeast(0, "topk_q", base.topKQuery()),
                    sparse.intAtLeast(0, "dense_len", base.denseLength()));
        } catch (IllegalArgumentException e) {
            throw config.error(e.getMessage(), e);
        }
    }
}
