package dev.nosa.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;

/**
 * An evaluation's figures as JSON.
 *
 * @param command what to type for them
 * @param run what was evaluated: {@code model} and {@code mode}, or {@code answers}, the path of a run
 * @param comparison null where there is none
 */
record EvalReport(String command, Map<String, String> run, Evaluation evaluation, Comparison comparison) {
    void write(Path file) throws IOException {
        String json = new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsString(values());
        Files.writeString(file, json + System.lineSeparator());
    }

    private Map<String, Object> values() {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("command", command);
        values.putAll(new TreeMap<>(run));
        values.put("date", LocalDate.now().toString());
        values.put(
                "errors", evaluation.answers().stream().filter(Scored::failed).count());
        values.put("exact_match", share(evaluation.total()));
        put(values, "task", evaluation.byTask());
        ShareGrid byDepth = evaluation.byDepth();
        if (byDepth != null) {
            put(values, "depth", byDepth);
        }
        if (comparison != null) {
            Map<String, Object> compared = new LinkedHashMap<>();
            compared.put("with", comparison.other());
            compared.put("equal", comparison.equal());
            compared.put(
                    "different",
                    comparison.differences().stream()
                            .map(Comparison.Difference::id)
                            .toList());
            values.put("compared", compared);
        }
        return values;
    }

    private static void put(Map<String, Object> values, String key, ShareGrid grid) {
        int rows = grid.names().size();
        int columns = grid.contexts().size();
        Map<String, Object> byName = new LinkedHashMap<>();
        Map<String, Object> byBoth = new LinkedHashMap<>();
        for (int row = 0; row < rows; row++) {
            byName.put(grid.names().get(row), share(grid.at(row, columns)));
            byBoth.put(grid.names().get(row), byContext(grid, row));
        }
        values.put("by_" + key, byName);
        values.putIfAbsent("by_context", byContext(grid, rows)); // of all answers: the tasks come first
        values.put("by_" + key + "_and_context", byBoth);
    }

    private static Map<String, Object> byContext(ShareGrid grid, int row) {
        Map<String, Object> shares = new LinkedHashMap<>();
        for (int column = 0; column < grid.contexts().size(); column++) {
            shares.put(grid.contexts().get(column), share(grid.at(row, column)));
        }
        return shares;
    }

    /** The share of none of none is null. */
    private static Map<String, Object> share(Share share) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("right", share.right());
        values.put("total", share.total());
        values.put("share", share.total() == 0 ? null : share.value());
        return values;
    }
}
