package dev.nosa.spark;

import java.io.Serializable;
import java.util.Arrays;
import java.util.function.Function;
import org.apache.spark.network.util.JavaUtils;

/**
 * An option as text, and as what it stands for: a wrong value is an {@link IllegalArgumentException} that says so.
 *
 * @param name as the user wrote it
 */
record NosaOption(String name, String value) implements Serializable {
    int asInt() {
        return parse(Integer::valueOf, "a whole number");
    }

    long asLong() {
        return parse(Long::valueOf, "a whole number");
    }

    float asFloat() {
        return parse(Float::valueOf, "a number");
    }

    /** Bytes, of {@code 512m}, {@code 4g} or a number. */
    long asBytes() {
        return parse(JavaUtils::byteStringAsBytes, "bytes, as 512m or 4g");
    }

    int[] asInts() {
        return parse(
                list -> Arrays.stream(list.split(","))
                        .mapToInt(item -> Integer.parseInt(item.trim()))
                        .toArray(),
                "whole numbers with commas between them");
    }

    boolean asBoolean() {
        if (!value.equalsIgnoreCase("true") && !value.equalsIgnoreCase("false")) {
            throw wrong("true or false", null);
        }
        return Boolean.parseBoolean(value);
    }

    private <T> T parse(Function<String, T> parser, String rule) {
        try {
            return parser.apply(value.trim());
        } catch (NumberFormatException e) {
            throw wrong(rule, e);
        }
    }

    private IllegalArgumentException wrong(String rule, NumberFormatException cause) {
        return new IllegalArgumentException(name + " = " + value + ": must be " + rule, cause);
    }
}
