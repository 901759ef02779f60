package dev.nosa.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.nosa.checkpoint.CheckpointException;
import dev.nosa.checkpoint.JsonFiles;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * A JSON object of a configuration file, read by key. A key that is absent or null counts as not given. Errors say
 * {@code file: key = value: rule}, the key with the objects that it lies in.
 */
final class ConfigSection {
    private final String file;
    private final String prefix;
    private final JsonNode node;

    private ConfigSection(String file, String prefix, JsonNode node) {
        this.file = file;
        this.prefix = prefix;
        this.node = node;
    }

    static ConfigSection read(Path file) {
        return new ConfigSection(file.toString(), "", JsonFiles.readObject(file));
    }

    /** Where nothing is given. */
    static ConfigSection empty(Path file) {
        return new ConfigSection(file.toString(), "", MissingNode.getInstance());
    }

    boolean has(String key) {
        return node.hasNonNull(key);
    }

    Set<String> keys() {
        Set<String> keys = new TreeSet<>();
        node.fieldNames().forEachRemaining(keys::add);
        return keys;
    }

    /** The object of {@code key}; an empty one if it is not given. */
    ConfigSection section(String key) {
        JsonNode value = node.path(key);
        if (has(key) && !value.isObject()) {
            throw error(key, "must be an object");
        }
        return new ConfigSection(file, prefix + key + ".", value);
    }

    int positiveInt(String key) {
        return integer(required(key), key, 1);
    }

    int intAtLeast(int least, String key, int absent) {
        return has(key) ? integer(node.path(key), key, least) : absent;
    }

    double positiveNumber(String key) {
        return number(required(key), key);
    }

    double positiveNumber(String key, double absent) {
        return has(key) ? number(node.path(key), key) : absent;
    }

    /** Exactly {@code count} positive numbers. */
    float[] positiveNumbers(String key, int count) {
        JsonNode array = required(key);
        if (!array.isArray() || array.size() != count) {
            throw error(key, "must be an array of " + count + " numbers (head_dim / 2)");
        }
        float[] numbers = new float[count];
        for (int i = 0; i < count; i++) {
            numbers[i] = (float) number(array.get(i), key);
        }
        return numbers;
    }

    boolean bool(String key, boolean absent) {
        if (!has(key)) {
            return absent;
        }
        if (!node.path(key).isBoolean()) {
            throw error(key, "must be true or false");
        }
        return node.path(key).booleanValue();
    }

    String text(String key, String absent) {
        if (!has(key)) {
            return absent;
        }
        if (!node.path(key).isTextual()) {
            throw error(key, "must be a string");
        }
        return node.path(key).textValue();
    }

    /** One integer or an array of them, each from 0 on; empty if not given. */
    List<Integer> oneOrMoreInts(String key) {
        List<Integer> values = new ArrayList<>();
        if (has(key)) {
            JsonNode value = node.path(key);
            for (JsonNode element : value.isArray() ? value : List.of(value)) {
                values.add(integer(element, key, 0));
            }
        }
        return values;
    }

    /** The error that {@code key}'s value breaks {@code rule}. */
    CheckpointException error(String key, String rule) {
        String value = node.has(key) ? key + " = " + shorten(node.get(key).toString()) : key + " is missing";
        return new CheckpointException(file + ": " + prefix + value + ": " + rule);
    }

    /** An error about no single key. */
    CheckpointException error(String what, Exception cause) {
        return new CheckpointException(file + ": " + what, cause);
    }

    private JsonNode required(String key) {
        if (!has(key)) {
            throw error(key, "must be given");
        }
        return node.path(key);
    }

    private int integer(JsonNode value, String key, int least) {
        if (!value.isIntegralNumber() || !value.canConvertToInt() || value.intValue() < least) {
            throw error(key, "must be an integer from " + least + " on");
        }
        return value.intValue();
    }

    private double number(JsonNode value, String key) {
        double number = value.doubleValue();
        if (!value.isNumber() || !(number > 0 && number <= Float.MAX_VALUE)) {
            throw error(key, "must be a positive number");
        }
        return number;
    }

    private static String shorten(String value) {
        return value.length() <= 80 ? value : value.substring(0, 77) + "...";
    }
}
