package dev.nosa.checkpoint;

import java.util.Collection;
import java.util.Comparator;
import java.util.List;

/** Names that a misspelt one may have meant, for messages. */
public final class SimilarNames {
    private SimilarNames() {}

    /** At most {@code limit} of {@code known}, the fewest edits from {@code name} first. */
    public static List<String> of(String name, Collection<String> known, int limit) {
        record Candidate(String name, int edits) {}
        return known.stream()
                .map(candidate -> new Candidate(candidate, edits(name, candidate)))
                .sorted(Comparator.comparingInt(Candidate::edits).thenComparing(Candidate::name))
                .limit(limit)
                .map(Candidate::name)
                .toList();
    }

    /** Letters inserted, deleted or replaced to make one of the other (Levenshtein). */
    public static int edits(String a, String b) {
        int[] previous = new int[b.length() + 1];
        for (int j = 0; j <= b.length(); j++) {
            previous[j] = j;
        }
        for (int i = 1; i <= a.length(); i++) {
            int[] current = new int[b.length() + 1];
            current[0] = i;
            for (int j = 1; j <= b.length(); j++) {
                int substituted = previous[j - 1] + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                current[j] = Math.min(substituted, Math.min(previous[j], current[j - 1]) + 1);
            }
            previous = current;
        }
        return previous[b.length()];
    }
}
