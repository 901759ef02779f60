package dev.nosa.job;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** How documents are stored, and the file endings that say so. */
enum InputFormat {
    PARQUET("parquet", "parq"),
    JSONL("jsonl", "json", "ndjson"),
    CSV("csv"),
    TEXT("txt", "text", "md");

    private static final List<String> COMPRESSED = List.of("gz", "bz2", "zst", "snappy", "lz4");

    private final List<String> endings;

    InputFormat(String... endings) {
        this.endings = List.of(endings);
    }

    String optionValue() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** Empty for a format that is read as Spark reads it. */
    static Optional<InputFormat> parse(String name) {
        return Arrays.stream(values())
                .filter(format -> format.optionValue().equals(name))
                .findFirst();
    }

    /** The format of a file by its ending; only line formats may be compressed. */
    static Optional<InputFormat> ofFile(String fileName) {
        String ending = ending(fileName);
        boolean compressed = COMPRESSED.contains(ending);
        String inner = compressed ? ending(fileName.substring(0, fileName.length() - ending.length() - 1)) : ending;
        return Arrays.stream(values())
                .filter(format -> format.endings.contains(inner))
                .filter(format -> !compressed || format == JSONL || format == CSV)
                .findFirst();
    }

    /** What follows the last dot, in lower case; empty if there is none. */
    static String ending(String fileName) {
        int dot = fileName.lastIndexOf('.');
        return dot < 0 ? "" : fileName.substring(dot + 1).toLowerCase(Locale.ROOT);
    }
}
