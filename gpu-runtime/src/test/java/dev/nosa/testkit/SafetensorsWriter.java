package dev.nosa.testkit;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Writes tensors in the safetensors format, as one file or as shards with an index. */
public final class SafetensorsWriter {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int ALIGNMENT = 8;

    private SafetensorsWriter() {}

    /** Writes one file; {@code dtype} is {@code F32} or {@code BF16}, and BF16 keeps the upper half of each value. */
    public static void write(Path file, String dtype, Map<String, Weight> tensors) throws IOException {
        int elementBytes = elementBytes(dtype);
        ObjectNode header = JSON.createObjectNode();
        header.putObject("__metadata__").put("format", "pt");
        long end = 0;
        for (Map.Entry<String, Weight> tensor : tensors.entrySet()) {
            long begin = end;
            end += (long) elementBytes * tensor.getValue().values().length;
            ObjectNode entry = header.putObject(tensor.getKey()).put("dtype", dtype);
            var shape = entry.putArray("shape");
            for (long size : tensor.getValue().shape()) {
                shape.add(size);
            }
            entry.putArray("data_offsets").add(begin).add(end);
        }
        byte[] json = padded(JSON.writeValueAsBytes(header));
        ByteBuffer data = ByteBuffer.allocate(Math.toIntExact(Long.BYTES + json.length + end))
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(json.length)
                .put(json);
        tensors.values().forEach(tensor -> put(data, dtype, tensor.values()));
        Files.write(file, data.array());
    }

    /**
     * Writes {@code model.safetensors}, or with more than one shard {@code model-0000x-of-0000n.safetensors} and their
     * {@code model.safetensors.index.json}.
     */
    public static void writeModel(Path dir, String dtype, Map<String, Weight> tensors, int shards) throws IOException {
        if (shards == 1) {
            write(dir.resolve("model.safetensors"), dtype, tensors);
            return;
        }
        ObjectNode index = JSON.createObjectNode();
        long elements =
                tensors.values().stream().mapToLong(t -> t.values().length).sum();
        index.putObject("metadata").put("total_size", elementBytes(dtype) * elements);
        ObjectNode weightMap = index.putObject("weight_map");
        List<String> names = new ArrayList<>(tensors.keySet());
        for (int shard = 0; shard < shards; shard++) {
            String file = String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", shard + 1, shards);
            Map<String, Weight> part = new LinkedHashMap<>();
            for (int i = shard; i < names.size(); i += shards) {
                part.put(names.get(i), tensors.get(names.get(i)));
                weightMap.put(names.get(i), file);
            }
            write(dir.resolve(file), dtype, part);
        }
        JSON.writeValue(dir.resolve("model.safetensors.index.json").toFile(), index);
    }

    private static void put(ByteBuffer data, String dtype, float[] values) {
        for (float value : values) {
            if (dtype.equals("BF16")) {
                data.putShort((short) (Float.floatToRawIntBits(value) >>> 16));
            } else {
                data.putFloat(value);
            }
        }
    }

    private static int elementBytes(String dtype) {
        return switch (dtype) {
            case "F32" -> Float.BYTES;
            case "BF16" -> Short.BYTES;
            default -> throw new IllegalArgumentException("dtype " + dtype + ": F32 or BF16");
        };
    }

    private static byte[] padded(byte[] json) {
        int length = (json.length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        String spaces = " ".repeat(length - json.length);
        return (new String(json, StandardCharsets.UTF_8) + spaces).getBytes(StandardCharsets.UTF_8);
    }
}
