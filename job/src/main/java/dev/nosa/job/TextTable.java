package dev.nosa.job;

import java.util.ArrayList;
import java.util.List;

/** Cells in columns as wide as their longest cell, two spaces apart. */
final class TextTable {
    static final int GAP = 2;

    private final String alignments;
    private final List<List<String>> rows = new ArrayList<>();

    /** One character a column: {@code l} or {@code r}. */
    TextTable(String alignments) {
        this.alignments = alignments;
    }

    void add(List<String> cells) {
        rows.add(cells);
    }

    List<String> lines() {
        int[] widths = new int[alignments.length()];
        for (List<String> row : rows) {
            for (int i = 0; i < widths.length; i++) {
                widths[i] = Math.max(widths[i], row.get(i).length());
            }
        }
        return rows.stream().map(row -> line(row, widths)).toList();
    }

    private String line(List<String> row, int[] widths) {
        StringBuilder line = new StringBuilder();
        for (int i = 0; i < widths.length; i++) {
            String padding = " ".repeat(widths[i] - row.get(i).length());
            line.append(i == 0 ? "" : " ".repeat(GAP));
            line.append(alignments.charAt(i) == 'r' ? padding + row.get(i) : row.get(i) + padding);
        }
        return line.toString().stripTrailing();
    }

    /** The text on one line, without its middle where it is longer than {@code width}: questions differ at both ends. */
    static String shortened(String text, int width) {
        String line = text.strip().replaceAll("\\s+", " ");
        if (line.length() <= width) {
            return line;
        }
        int end = (width - 3) / 3;
        return line.substring(0, width - 3 - end) + "..." + line.substring(line.length() - end);
    }
}
