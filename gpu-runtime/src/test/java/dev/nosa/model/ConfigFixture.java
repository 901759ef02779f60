package dev.nosa.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.checkpoint.CheckpointTensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;

/** A valid config.json to change one key of, and the tensor names of a checkpoint. */
final class ConfigFixture {
    static final String IMPORTANCE = "model.layers.0.self_attn.A";

    private static final ObjectMapper JSON = new ObjectMapper();

    private final Path dir;
    private final ObjectNode config;
    private Set<String> tensors = Set.of("lm_head.weight");

    ConfigFixture(Path dir) {
        this.dir = dir;
        this.config = JSON.createObjectNode()
                .put("model_type", "llama")
                .put("hidden_size", 256)
                .put("intermediate_size", 512)
                .put("num_hidden_layers", 3)
                .put("num_attention_heads", 4)
                .put("num_key_value_heads", 2)
                .put("vocab_size", 1000)
                .put("max_position_embeddings", 4096);
    }

    /** Sets {@code key} to {@code json}. */
    ConfigFixture with(String key, String json) {
        config.set(key, parseJson(json));
        return this;
    }

    ConfigFixture without(String key) {
        config.remove(key);
        return this;
    }

    ConfigFixture tensors(String... names) {
        tensors = Set.of(names);
        return this;
    }

    ConfigFixture generation(String json) {
        write("generation_config.json", json);
        return this;
    }

    ModelConfig parse() {
        write("config.json", config.toString());
        return ModelConfigParser.parse(dir, new Names(tensors));
    }

    private void write(String file, String content) {
        try {
            Files.writeString(dir.resolve(file), content);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static JsonNode parseJson(String json) {
        try {
            return JSON.readTree(json);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private record Names(Set<String> names) implements Checkpoint {
        @Override
        public boolean has(String name) {
            return names.contains(name);
        }

        @Override
        public CheckpointTensor tensor(String name, long... shape) {
            throw new UnsupportedOperationException("the parser reads no weights");
        }

        @Override
        public void close() {}
    }
}
