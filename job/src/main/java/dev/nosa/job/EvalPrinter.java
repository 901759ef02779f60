package dev.nosa.job;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;

/** An evaluation as text of at most 120 columns, as far as the names and the number of lengths allow. */
final class EvalPrinter {
    private static final int WIDTH = 120;
    private static final int SHORT_TEXT = 24;
    private static final int LEAST_QUESTION = 20;

    private final PrintWriter out;

    EvalPrinter(PrintWriter out) {
        this.out = out;
    }

    /** The first answers; below one that is wrong stands the expected one, or why the row failed. */
    void answers(List<Scored> answers, int show) {
        if (show == 0) {
            return;
        }
        List<Scored> shown = answers.subList(0, Math.min(show, answers.size()));
        out.println();
        List<String> lines = table(shown).lines();
        out.println(lines.get(0));
        for (int i = 0; i < shown.size(); i++) {
            out.println(lines.get(i + 1));
            if (!shown.get(i).right()) {
                out.println(reason(shown.get(i)));
            }
        }
        List<Scored> more = answers.subList(shown.size(), answers.size());
        if (!more.isEmpty()) {
            long wrong = more.stream().filter(answer -> !answer.right()).count();
            out.printf("and %d more, of these %d wrong (--show)%n", more.size(), wrong);
        }
    }

    private static String reason(Scored wrong) {
        return wrong.failed()
                ? "    error: " + wrong.generation().error()
                : "    " + TextTable.shortened("expected: " + wrong.question().answer(), WIDTH - 4);
    }

    private static TextTable table(List<Scored> answers) {
        TextTable beside = new TextTable("lrll"); // all but the question, which gets the room that is left
        beside.add(List.of("document", "tokens", "answer", "result"));
        answers.forEach(answer -> beside.add(cells(answer)));
        int used = beside.lines().stream().mapToInt(String::length).max().orElse(0);
        int room = Math.max(LEAST_QUESTION, WIDTH - TextTable.GAP - used);

        TextTable table = new TextTable("lrlll");
        table.add(List.of("document", "tokens", "question", "answer", "result"));
        for (Scored answer : answers) {
            List<String> cells = new ArrayList<>(cells(answer));
            cells.add(2, TextTable.shortened(answer.question().question(), room));
            table.add(cells);
        }
        return table;
    }

    private static List<String> cells(Scored answer) {
        Integer tokens = answer.generation().promptTokens();
        String text = answer.generation().text();
        return List.of(
                TextTable.shortened(answer.question().title(), SHORT_TEXT),
                tokens == null ? "-" : tokens.toString(),
                text == null ? "-" : TextTable.shortened(text, SHORT_TEXT),
                answer.failed() ? "error" : answer.right() ? "right" : "wrong");
    }

    /** Percentages with their totals, the counts at the margins. */
    void grid(String corner, ShareGrid grid) {
        int rows = grid.names().size();
        int columns = grid.contexts().size();
        TextTable table = new TextTable("l" + "r".repeat(columns + 2));
        List<String> header = new ArrayList<>(List.of(corner));
        header.addAll(grid.contexts());
        header.addAll(List.of("all", "questions"));
        table.add(header);
        for (int row = 0; row <= rows; row++) {
            List<String> cells = new ArrayList<>();
            cells.add(row == rows ? "all" : grid.names().get(row));
            for (int column = 0; column <= columns; column++) {
                cells.add(grid.at(row, column).percent());
            }
            cells.add(String.valueOf(grid.at(row, columns).total()));
            table.add(cells);
        }
        List<String> counts = new ArrayList<>(List.of("questions"));
        for (int column = 0; column <= columns; column++) {
            counts.add(String.valueOf(grid.at(rows, column).total()));
        }
        counts.add("");
        table.add(counts);
        out.println();
        table.lines().forEach(out::println);
    }

    /** How many generations are equal, and both texts of the first that are not. */
    void comparison(Comparison comparison, int show) {
        List<Comparison.Difference> differences = comparison.differences();
        out.println();
        out.printf(
                "%d of %d generations are equal to those of %s%n",
                comparison.equal(), comparison.equal() + differences.size(), comparison.other());
        for (Comparison.Difference pair : differences.subList(0, Math.min(show, differences.size()))) {
            out.printf("'%s'%n    here   %s%n    there  %s%n", pair.id(), quoted(pair.ours()), quoted(pair.theirs()));
        }
        if (differences.size() > show) {
            out.printf("and %d more that differ (--show)%n", differences.size() - show);
        }
    }

    /** On one line, with white space that can be seen. */
    private static String quoted(String text) {
        if (text == null) {
            return "(none)";
        }
        String line = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r");
        return '"' + line.replace("\t", "\\t") + '"';
    }

    void total(Share share) {
        out.println();
        out.printf("exact match: %d of %d answers are right (%s %%)%n", share.right(), share.total(), share.percent());
        out.flush();
    }
}
