package dev.nosa.spark;

import dev.nosa.checkpoint.SimilarNames;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** What to do with a document whose prompt is longer than the model takes. */
public enum OnTooLong {
    /** A row with status {@code error}. */
    ERROR,
    /** Drop the document's beginning. */
    TRUNCATE_HEAD,
    /** Drop the document's end. */
    TRUNCATE_TAIL,
    /** Drop from the document's middle. */
    TRUNCATE_MIDDLE;

    /** The value of {@code --on-too-long}. */
    public String optionName() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** Parses {@link #optionName}. */
    public static OnTooLong parse(String name) {
        for (OnTooLong value : values()) {
            if (value.optionName().equals(name)) {
                return value;
            }
        }
        List<String> known = Arrays.stream(values()).map(OnTooLong::optionName).toList();
        throw new IllegalArgumentException("on-too-long = " + name + ": must be one of " + String.join(", ", known)
                + "; the nearest is " + SimilarNames.of(name, known, 1).get(0));
    }
}
