package dev.nosa.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Opens checkpoint folders in Hugging Face layout. */
public final class Checkpoints {
    static final String SINGLE = "model.safetensors";
    static final String INDEX = "model.safetensors.index.json";

    private static final int WINDOW_BYTES = 1 << 30;

    private Checkpoints() {}

    /**
     * Maps {@code model.safetensors}, or else the shards that {@code model.safetensors.index.json} names, and checks
     * every header. Whatever is missing or corrupt is a {@link CheckpointException}.
     */
    public static Checkpoint open(Path dir) {
        return open(dir, WINDOW_BYTES);
    }

    /**
     * As {@link #open(Path)}, or with {@code dummy}: random weights of whatever shapes are asked for, with which
     * {@code config.json} and a tokenizer are enough to measure a model.
     */
    public static Checkpoint open(Path dir, String loadFormat) {
        return loadFormat.equals("dummy") ? new RandomCheckpoint() : open(dir);
    }

    static Checkpoint open(Path dir, int windowBytes) {
        if (!Files.isDirectory(dir)) {
            throw new CheckpointException(dir + ": no such folder; a model is a folder with " + SINGLE);
        }
        Path single = dir.resolve(SINGLE);
        if (Files.exists(single)) {
            return SafetensorsCheckpoint.open(dir, List.of(single), windowBytes);
        }
        Path index = dir.resolve(INDEX);
        if (Files.exists(index)) {
            return openShards(dir, index, windowBytes);
        }
        if (hasPickledWeights(dir)) {
            throw new CheckpointException(dir + ": holds pytorch_model*.bin but no safetensors; convert it with"
                    + " transformers: AutoModelForCausalLM.from_pretrained(dir)"
                    + ".save_pretrained(new_dir, safe_serialization=True)");
        }
        throw new CheckpointException(dir + ": holds neither " + SINGLE + " nor " + INDEX);
    }

    private static Checkpoint openShards(Path dir, Path index, int windowBytes) {
        Map<String, Path> shardOf = shardOfTensor(dir, index);
        List<Path> shards = shardOf.values().stream().distinct().sorted().toList();
        SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.open(dir, shards, windowBytes);
        shardOf.forEach((name, shard) -> {
            if (!checkpoint.isIn(name, shard)) {
                throw new CheckpointException(index + ": tensor " + name + " is not in " + shard);
            }
        });
        return checkpoint;
    }

    private static Map<String, Path> shardOfTensor(Path dir, Path index) {
        JsonNode weightMap = JsonFiles.readObject(index).path("weight_map");
        if (!weightMap.isObject() || weightMap.isEmpty()) {
            throw new CheckpointException(index + ": weight_map must be an object of tensor names to file names");
        }
        Map<String, Path> shardOf = new TreeMap<>();
        for (Map.Entry<String, JsonNode> field : weightMap.properties()) {
            shardOf.put(field.getKey(), shard(dir, index, field.getKey(), field.getValue()));
        }
        return shardOf;
    }

    /** A shard lies in the folder itself: an index must not reach other files. */
    private static Path shard(Path dir, Path index, String name, JsonNode value) {
        String fileName = value.textValue();
        if (fileName == null || !fileName.matches("[A-Za-z0-9_.-]+\\.safetensors")) {
            throw new CheckpointException(
                    index + ": tensor " + name + ": " + value + " must be the name of a .safetensors file beside it");
        }
        Path shard = dir.resolve(fileName);
        if (!Files.exists(shard)) {
            throw new CheckpointException(index + ": tensor " + name + ": shard " + shard + " is missing");
        }
        return shard;
    }

    private static boolean hasPickledWeights(Path dir) {
        try (DirectoryStream<Path> bins = Files.newDirectoryStream(dir, "pytorch_model*.bin")) {
            return bins.iterator().hasNext();
        } catch (IOException e) {
            throw new CheckpointException(dir + ": cannot be listed: " + e, e);
        }
    }
}
