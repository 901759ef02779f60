package dev.nosa.reference;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.nosa.testkit.Weight;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.zip.GZIPInputStream;

/** A safetensors file of expected values (F32, BF16, I32), packed where its name ends in .gz, in memory; trusted, so read without checks. */
final class GoldenData {
    private static final Map<String, String> LAYER_NAMES = Map.ofEntries(
            Map.entry("wq", "self_attn.q_proj.weight"),
            Map.entry("wk", "self_attn.k_proj.weight"),
            Map.entry("wv", "self_attn.v_proj.weight"),
            Map.entry("wo", "self_attn.o_proj.weight"),
            Map.entry("A", "self_attn.A"),
            Map.entry("delta", "self_attn.delta.weight"),
            Map.entry("gate", "mlp.gate_proj.weight"),
            Map.entry("up", "mlp.up_proj.weight"),
            Map.entry("down", "mlp.down_proj.weight"),
            Map.entry("ln1", "input_layernorm.weight"),
            Map.entry("ln2", "post_attention_layernorm.weight"));

    private final ByteBuffer file;
    private final JsonNode header;
    private final int data;

    GoldenData(Path path) throws IOException {
        file = ByteBuffer.wrap(read(path)).order(ByteOrder.LITTLE_ENDIAN);
        int headerLength = Math.toIntExact(file.getLong(0));
        header = new ObjectMapper().readTree(file.array(), Long.BYTES, headerLength);
        data = Long.BYTES + headerLength;
    }

    private static byte[] read(Path path) throws IOException {
        if (!path.toString().endsWith(".gz")) {
            return Files.readAllBytes(path);
        }
        try (InputStream packed = new GZIPInputStream(Files.newInputStream(path))) {
            return packed.readAllBytes();
        }
    }

    int[] shape(String name) {
        JsonNode sizes = header.get(name).get("shape");
        int[] shape = new int[sizes.size()];
        for (int i = 0; i < shape.length; i++) {
            shape[i] = sizes.get(i).asInt();
        }
        return shape;
    }

    int[] ints(String name) {
        int begin = begin(name);
        int[] values = new int[elements(name)];
        for (int i = 0; i < values.length; i++) {
            values[i] = file.getInt(begin + Integer.BYTES * i);
        }
        return values;
    }

    float[] floats(String name) {
        int begin = begin(name);
        boolean bfloat16 = header.get(name).get("dtype").asText().equals("BF16");
        float[] values = new float[elements(name)];
        for (int i = 0; i < values.length; i++) {
            values[i] = bfloat16
                    ? Float.intBitsToFloat(file.getShort(begin + Short.BYTES * i) << 16)
                    : file.getFloat(begin + Float.BYTES * i);
        }
        return values;
    }

    /** The tensor, widened, as (rows, columns) with its last size as columns. */
    double[][] rows(String name) {
        float[] values = floats(name);
        int[] shape = shape(name);
        int columns = shape[shape.length - 1];
        double[][] rows = new double[values.length / columns][columns];
        for (int i = 0; i < values.length; i++) {
            rows[i / columns][i % columns] = values[i];
        }
        return rows;
    }

    /** The rows of a tensor (n, heads, D) as [n][head][D]. */
    double[][][] heads(String name) {
        double[][] rows = rows(name);
        int heads = shape(name)[1];
        double[][][] split = new double[rows.length / heads][heads][];
        for (int i = 0; i < rows.length; i++) {
            split[i / heads][i % heads] = rows[i];
        }
        return split;
    }

    /** The weights file of the golden data under Hugging Face names. */
    Map<String, Weight> weights() {
        return weights("", GoldenData::huggingFaceName);
    }

    /** The tensors whose names begin with {@code prefix}, without it. */
    Map<String, Weight> weights(String prefix) {
        return weights(prefix, name -> name);
    }

    private Map<String, Weight> weights(String prefix, UnaryOperator<String> rename) {
        Map<String, Weight> weights = new LinkedHashMap<>();
        header.fieldNames().forEachRemaining(name -> {
            if (!name.equals("__metadata__") && name.startsWith(prefix)) {
                long[] shape = Arrays.stream(shape(name)).asLongStream().toArray();
                weights.put(rename.apply(name.substring(prefix.length())), new Weight(shape, floats(name)));
            }
        });
        return weights;
    }

    String metadata(String key) {
        return header.get("__metadata__").get(key).asText();
    }

    private static String huggingFaceName(String name) {
        return switch (name) {
            case "embed" -> "model.embed_tokens.weight";
            case "norm" -> "model.norm.weight";
            case "lm_head" -> "lm_head.weight";
            default -> {
                int dot = name.indexOf('.');
                yield "model.layers." + name.substring(1, dot) + "." + LAYER_NAMES.get(name.substring(dot + 1));
            }
        };
    }

    private int begin(String name) {
        return data + header.get(name).get("data_offsets").get(0).asInt();
    }

    private int elements(String name) {
        int elements = 1;
        for (int size : shape(name)) {
            elements *= size;
        }
        return elements;
    }
}
