package dev.nosa.job;

import java.util.List;

/** The beginning of a list that may be long, for a message of one line. */
final class FirstFew {
    private static final int SHOWN = 5;

    private FirstFew() {}

    static String of(List<String> items, String separator) {
        String first = String.join(separator, items.subList(0, Math.min(SHOWN, items.size())));
        return items.size() <= SHOWN ? first : first + separator + "and " + (items.size() - SHOWN) + " more";
    }
}
