package dev.nosa.testkit;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.model.ModelConfig;
import dev.nosa.model.RopeConfig;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * A small random model, and the checkpoint folder of it in Hugging Face layout.
 *
 * @param config what {@code config.json} says
 * @param weights tensors by Hugging Face name, as a reader of the checkpoint gets them
 * @param dtype {@code F32} or {@code BF16} on disk
 * @param shards files that the weights are spread over
 */
public record TinyModel(ModelConfig config, Map<String, Weight> weights, String dtype, int shards) {
    /** RoPE's base; no scaling. */
    public static final double ROPE_THETA = 10000;

    private static final ObjectMapper JSON = new ObjectMapper();

    /** Writes the model of {@code builder()}'s defaults into {@code dir}, which is created if missing. */
    public static TinyModel write(Path dir) throws IOException {
        return builder().write(dir);
    }

    /**
     * Defaults: 2 layers, hidden 64, 4 query and 2 KV heads of 32, the vocabulary of {@link TinyTokenizer}, and budgets so
     * small that the selection leaves blocks out from 97 tokens on.
     */
    public static Builder builder() {
        return new Builder();
    }

    /** Writes configuration, weights and {@link TinyTokenizer} into {@code dir}, which is created if missing. */
    public TinyModel writeTo(Path dir) throws IOException {
        Files.createDirectories(dir);
        JSON.writeValue(dir.resolve("config.json").toFile(), configJson());
        ObjectNode generation = JSON.createObjectNode();
        generation.put("bos_token_id", config.bosToken());
        putEos(generation);
        JSON.writeValue(dir.resolve("generation_config.json").toFile(), generation);
        SafetensorsWriter.writeModel(dir, dtype, weights, shards);
        TinyTokenizer.write(dir);
        return this;
    }

    /** The weights as an open checkpoint, without a file. */
    public Checkpoint checkpoint() {
        return new InMemoryCheckpoint(weights, dtype);
    }

    private ObjectNode configJson() {
        ObjectNode json = JSON.createObjectNode();
        json.putArray("architectures").add("LlamaForCausalLM");
        json.put("model_type", "llama");
        json.put("hidden_act", "silu");
        json.put("num_hidden_layers", config.layers());
        json.put("hidden_size", config.hidden());
        json.put("intermediate_size", config.intermediate());
        json.put("num_attention_heads", config.heads());
        json.put("num_key_value_heads", config.kvHeads());
        json.put("head_dim", config.headDim());
        json.put("vocab_size", config.vocabSize());
        json.put("max_position_embeddings", config.maxPositions());
        json.put("rms_norm_eps", config.rmsNormEps());
        json.put("rope_theta", ROPE_THETA);
        json.putNull("rope_scaling");
        json.put("tie_word_embeddings", config.tiedEmbeddings());
        json.put("attention_bias", config.attentionBias());
        json.put("mlp_bias", false);
        json.put("torch_dtype", dtype.equals("BF16") ? "bfloat16" : "float32");
        json.put("bos_token_id", config.bosToken());
        putEos(json);
        putSparse(json.putObject("sparse_config"));
        return json;
    }

    private void putEos(ObjectNode json) {
        ArrayNode ids = json.putArray("eos_token_id");
        new TreeSet<>(config.eosTokens()).forEach(ids::add);
    }

    private void putSparse(ObjectNode json) {
        SparseConfig sparse = config.sparse();
        json.put("kernel_size", sparse.window());
        json.put("kernel_stride", sparse.stride());
        json.put("init_blocks", sparse.initBlocks());
        json.put("block_size", sparse.blockSize());
        json.put("window_size", sparse.localBlocks() * sparse.blockSize());
        json.put("topk", sparse.topK());
        json.put("topk_q", sparse.topKQuery());
        json.put("dense_len", sparse.denseLength());
    }

    /** Choices of a model, each with the default that {@link TinyModel#builder()} states. */
    public static final class Builder {
        private int layers = 2;
        private int hidden = 64;
        private int heads = 4;
        private int kvHeads = 2;
        private int headDim = 32;
        private int intermediate = 128;
        private int vocab = TinyTokenizer.VOCAB;
        private int maxPositions = 4096;
        private SparseConfig sparse = new SparseConfig(16, 8, 4, 1, 1, 6, 2, 0);
        private boolean importance = true;
        private boolean tiedEmbeddings;
        private boolean attentionBias;
        private Set<Integer> eos = Set.of(TinyTokenizer.EOS);
        private String dtype = "F32";
        private int shards = 1;
        private long seed = 1;

        public Builder layers(int value) {
            layers = value;
            return this;
        }

        public Builder hidden(int value) {
            hidden = value;
            return this;
        }

        public Builder heads(int value) {
            heads = value;
            return this;
        }

        public Builder kvHeads(int value) {
            kvHeads = value;
            return this;
        }

        public Builder headDim(int value) {
            headDim = value;
            return this;
        }

        public Builder intermediate(int value) {
            intermediate = value;
            return this;
        }

        /** At least {@link TinyTokenizer#VOCAB} where text is to be tokenized. */
        public Builder vocab(int value) {
            vocab = value;
            return this;
        }

        public Builder maxPositions(int value) {
            maxPositions = value;
            return this;
        }

        public Builder sparse(SparseConfig value) {
            sparse = value;
            return this;
        }

        /** Whether the checkpoint has {@code A} and {@code delta}; without them its mode is {@code infllm_v2}. */
        public Builder importance(boolean value) {
            importance = value;
            return this;
        }

        public Builder tiedEmbeddings(boolean value) {
            tiedEmbeddings = value;
            return this;
        }

        public Builder attentionBias(boolean value) {
            attentionBias = value;
            return this;
        }

        /** No ids: generation ends by length alone. */
        public Builder eos(Integer... ids) {
            eos = Set.of(ids);
            return this;
        }

        /** {@code F32} or {@code BF16}. */
        public Builder dtype(String value) {
            dtype = value;
            return this;
        }

        public Builder shards(int value) {
            shards = value;
            return this;
        }

        public Builder seed(long value) {
            seed = value;
            return this;
        }

        public TinyModel build() {
            AttentionMode mode = importance ? AttentionMode.NOSA : AttentionMode.INFLLM_V2;
            ModelConfig config = new ModelConfig(
                    layers,
                    hidden,
                    intermediate,
                    heads,
                    kvHeads,
                    headDim,
                    vocab,
                    maxPositions,
                    1e-6f,
                    new RopeConfig(inverseFrequencies(headDim), 1f),
                    tiedEmbeddings,
                    attentionBias,
                    TinyTokenizer.BOS,
                    eos,
                    importance,
                    mode,
                    sparse);
            return new TinyModel(config, new TinyWeights(config, dtype.equals("BF16"), seed).generate(), dtype, shards);
        }

        /** {@link #build()} and {@link TinyModel#writeTo}. */
        public TinyModel write(Path dir) throws IOException {
            return build().writeTo(dir);
        }

        private static float[] inverseFrequencies(int headDim) {
            float[] frequencies = new float[headDim / 2];
            for (int i = 0; i < frequencies.length; i++) {
                frequencies[i] = (float) Math.pow(ROPE_THETA, -2.0 * i / headDim);
            }
            return frequencies;
        }
    }
}
