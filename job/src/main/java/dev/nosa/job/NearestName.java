package dev.nosa.job;

import dev.nosa.checkpoint.SimilarNames;
import java.util.Collection;
import java.util.Comparator;
import java.util.Optional;

/** Which known name a misspelled one means. */
final class NearestName {
    private NearestName() {}

    /** The known name with the fewest edits, the longest of several, if a third of the letters or fewer differ. */
    static Optional<String> of(String name, Collection<String> known) {
        return known.stream()
                .min(Comparator.<String>comparingInt(candidate -> SimilarNames.edits(name, candidate))
                        .thenComparing(Comparator.comparing(String::length).reversed())
                        .thenComparing(Comparator.naturalOrder()))
                .filter(candidate ->
                        SimilarNames.edits(name, candidate) <= Math.max(1, Math.max(name.length(), 6) / 3));
    }

    /** {@code "; did you mean 'x'?"}, or nothing. */
    static String hint(String name, Collection<String> known) {
        return of(name, known)
                .map(nearest -> "; did you mean '" + nearest + "'?")
                .orElse("");
    }
}
