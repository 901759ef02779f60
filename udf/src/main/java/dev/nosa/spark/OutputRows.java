package dev.nosa.spark;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/** Output rows of results, in the order of {@link Columns#output}. Where prompts are columns, a row waits for all of its own. */
final class OutputRows {
    private final TransformOptions options;
    private final boolean promptColumns;
    /** The answers so far of input rows of which some are missing. */
    private final Map<Row, Object[]> incomplete = new IdentityHashMap<>();

    OutputRows(TransformOptions options) {
        this.options = options;
        promptColumns = options.generates() && options.generation().promptColumns();
    }

    /**
     * The output row of {@code input}, if it is complete.
     *
     * @param prompt index of the prompt that this result belongs to
     * @param result values of the result's columns, the id first
     */
    Optional<Row> add(Row input, int prompt, Object[] result) {
        Object[] answer = Arrays.copyOfRange(result, 1, result.length);
        if (!promptColumns) {
            return Optional.of(row(input, result[0], prompt, answer));
        }
        Object[] answers = incomplete.computeIfAbsent(
                input, row -> new Object[options.prompts().count()]);
        answers[prompt] = RowFactory.create(answer);
        if (Arrays.asList(answers).contains(null)) {
            return Optional.empty();
        }
        incomplete.remove(input);
        return Optional.of(row(input, result[0], prompt, answers));
    }

    private Row row(Row input, Object id, int prompt, Object[] answer) {
        List<Object> values = new ArrayList<>();
        values.add(id);
        if (options.prompts().areNamed() && !promptColumns) {
            values.add(options.prompts().all().get(prompt).name());
        }
        options.passThrough().forEach(column -> values.add(input.getAs(column)));
        values.addAll(Arrays.asList(answer));
        return RowFactory.create(values.toArray());
    }
}
