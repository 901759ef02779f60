package dev.nosa.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/**
 * Reads the JSON header of a safetensors file. It is untrusted: every number is checked against the others and against
 * the bytes that are there before anything is allocated or mapped by it.
 */
final class SafetensorsHeader {
    private static final String METADATA = "__metadata__";

    private final String file;
    private final long dataBytes;

    private SafetensorsHeader(String file, long dataBytes) {
        this.file = file;
        this.dataBytes = dataBytes;
    }

    /**
     * The tensors in the order of their bytes, which they cover without gap or overlap.
     *
     * @param dataBytes bytes of the file after the header
     */
    static List<TensorEntry> parse(byte[] header, String file, long dataBytes) {
        return new SafetensorsHeader(file, dataBytes).entries(JsonFiles.parseObject(header, file + ": header"));
    }

    private List<TensorEntry> entries(ObjectNode root) {
        List<TensorEntry> entries = new ArrayList<>();
        for (Map.Entry<String, JsonNode> field : root.properties()) {
            if (!field.getKey().equals(METADATA)) {
                entries.add(entry(field.getKey(), field.getValue()));
            }
        }
        // An empty tensor shares its offset with the next one and comes first.
        entries.sort(Comparator.comparingLong(TensorEntry::begin).thenComparingLong(TensorEntry::end));
        checkCoverage(entries);
        return entries;
    }

    private TensorEntry entry(String name, JsonNode node) {
        DType dtype = dtype(name, node.path("dtype"));
        List<Long> shape = sizes(name, "shape", node.path("shape"));
        List<Long> offsets = sizes(name, "data_offsets", node.path("data_offsets"));
        if (offsets.size() != 2 || offsets.get(0) > offsets.get(1)) {
            throw error(name, "data_offsets = " + offsets + ": must be [begin, end] with begin <= end");
        }
        TensorEntry entry = new TensorEntry(name, dtype, shape, offsets.get(0), offsets.get(1));
        if (entry.end() > dataBytes) {
            throw error(
                    name,
                    "data_offsets = " + offsets + ": end beyond the " + dataBytes
                            + " bytes after the header; the file is truncated or corrupt");
        }
        if (entry.begin() % dtype.bytes() != 0) {
            throw error(name, "data_offsets = " + offsets + ": misaligned for " + dtype);
        }
        if (entry.bytes() != bytes(name, dtype, shape)) {
            throw error(
                    name,
                    "shape " + shape + " of " + dtype + " takes " + bytes(name, dtype, shape)
                            + " bytes, but data_offsets = " + offsets + " hold " + entry.bytes());
        }
        return entry;
    }

    private DType dtype(String name, JsonNode node) {
        return Arrays.stream(DType.values())
                .filter(known -> known.name().equals(node.textValue()))
                .findFirst()
                .orElseThrow(() ->
                        error(name, "dtype " + node + " is not supported; known: " + Arrays.toString(DType.values())));
    }

    private List<Long> sizes(String name, String key, JsonNode node) {
        if (!node.isArray()) {
            throw error(name, key + " must be an array of integers");
        }
        List<Long> sizes = new ArrayList<>();
        for (JsonNode size : node) {
            if (!size.isIntegralNumber() || !size.canConvertToLong() || size.longValue() < 0) {
                throw error(name, key + " = " + node + ": must be integers from 0 to 2^63 - 1");
            }
            sizes.add(size.longValue());
        }
        return sizes;
    }

    private long bytes(String name, DType dtype, List<Long> shape) {
        try {
            long bytes = dtype.bytes();
            for (long size : shape) {
                bytes = Math.multiplyExact(bytes, size);
            }
            return bytes;
        } catch (ArithmeticException e) {
            throw new CheckpointException(
                    file + ": tensor " + name + ": shape " + shape + " of " + dtype + " overflows 2^63 bytes", e);
        }
    }

    private void checkCoverage(List<TensorEntry> entries) {
        long end = 0;
        String previous = "the header";
        for (TensorEntry entry : entries) {
            if (entry.begin() < end) {
                throw error(
                        entry.name(),
                        "begins at byte " + entry.begin() + " and overlaps " + previous + ", which ends at " + end);
            }
            if (entry.begin() > end) {
                throw error(
                        entry.name(),
                        "begins at byte " + entry.begin() + ", a gap after " + previous + ", which ends at " + end);
            }
            end = entry.end();
            previous = entry.name();
        }
        if (end != dataBytes) {
            throw new CheckpointException(
                    file + ": " + (dataBytes - end) + " bytes after the last tensor belong to none");
        }
    }

    private CheckpointException error(String name, String what) {
        return new CheckpointException(file + ": tensor " + name + ": " + what);
    }
}
