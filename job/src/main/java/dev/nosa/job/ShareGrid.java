package dev.nosa.job;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.Function;

/** Shares of right answers by a name (down) and the context length (across), with the totals behind the last of each. */
final class ShareGrid {
    private final List<String> names;
    private final List<String> contexts;
    private final Share[][] shares;

    /**
     * Sorts answers into cells.
     *
     * @param names the rows' names: all that {@code nameOf} gives, and maybe more
     */
    ShareGrid(List<Scored> answers, List<String> names, Function<Scored, String> nameOf) {
        this.names = List.copyOf(names);
        contexts = answers.stream()
                .map(Scored::context)
                .distinct()
                .sorted(Comparator.nullsLast(Comparator.naturalOrder()))
                .map(ShareGrid::label)
                .toList();
        shares = new Share[names.size() + 1][contexts.size() + 1];
        for (Share[] row : shares) {
            Arrays.fill(row, Share.NONE);
        }
        for (Scored answer : answers) {
            for (int row : new int[] {names.indexOf(nameOf.apply(answer)), names.size()}) {
                for (int column : new int[] {contexts.indexOf(label(answer.context())), contexts.size()}) {
                    shares[row][column] = shares[row][column].plus(answer.right());
                }
            }
        }
    }

    private static String label(Integer context) {
        return context == null ? "unknown" : context.toString();
    }

    List<String> names() {
        return names;
    }

    /** Lengths in tokens, rising; {@code unknown}, if any answer's is, comes last. */
    List<String> contexts() {
        return contexts;
    }

    /** Row {@code names().size()} and column {@code contexts().size()} hold the totals. */
    Share at(int row, int column) {
        return shares[row][column];
    }
}
