package dev.nosa.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.BooleanType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.NumericType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** Reads the questions, in the order of the input, and refuses a set of which any row cannot be scored. */
final class QuestionSet {
    static final List<String> TASKS = List.of("single", "multikey", "multivalue", "multiquery", "variables");
    /** Columns of every evaluation's output. */
    static final StructType COLUMNS =
            StructType.fromDDL("task STRING, context INT, depth DOUBLE, question STRING, answer STRING");

    private static final String ID = "__nosa_question_id";

    private final Set<String> tasks = new LinkedHashSet<>(TASKS);
    private final Set<String> ids = new HashSet<>();
    private final List<String> problems = new ArrayList<>();
    private boolean unknownTask;

    /** {@code moreTasks} are allowed beside the known ones. */
    private QuestionSet(List<String> moreTasks) {
        tasks.addAll(moreTasks);
    }

    static List<Question> read(Dataset<Row> rows, String idColumn, List<String> moreTasks) {
        InputReader.requireColumns(rows, List.of(idColumn), "--id-column");
        InputReader.requireColumns(rows, List.of("task", "question", "answer"), "--input");
        return new QuestionSet(moreTasks)
                .parse(rows.select(selected(rows, idColumn)).collectAsList());
    }

    /** The rows with all of {@link #COLUMNS}, of these types; those that are not there are null. */
    static Dataset<Row> typed(Dataset<Row> rows) {
        Dataset<Row> typed = rows;
        for (StructField column : COLUMNS.fields()) {
            typed = typed.withColumn(
                    column.name(), textOrNull(rows, column.name()).cast(column.dataType()));
        }
        return typed;
    }

    private static Column[] selected(Dataset<Row> rows, String idColumn) {
        List<Column> columns = new ArrayList<>();
        columns.add(text(rows, idColumn).as(ID));
        columns.add(textOrNull(rows, "title"));
        for (String name : COLUMNS.fieldNames()) {
            columns.add(textOrNull(rows, name));
        }
        columns.add(col(MalformedRows.ERROR));
        return columns.toArray(Column[]::new);
    }

    static boolean has(Dataset<Row> rows, String name) {
        return Arrays.asList(rows.columns()).contains(name);
    }

    private static Column textOrNull(Dataset<Row> rows, String name) {
        return has(rows, name) ? text(rows, name) : lit(null).cast("string").as(name);
    }

    private static Column text(Dataset<Row> rows, String name) {
        DataType type = rows.schema().apply(name).dataType();
        if (!(type instanceof StringType || type instanceof NumericType || type instanceof BooleanType)) {
            throw new UsageException(
                    "column '" + name + "' is " + type.simpleString() + "; it must be a string or a number", "--input");
        }
        return col(DocumentIds.quoted(name)).cast("string").as(name);
    }

    private List<Question> parse(List<Row> rows) {
        if (rows.isEmpty()) {
            throw new UsageException("the question set is empty", "--input");
        }
        List<Question> questions = new ArrayList<>();
        for (int i = 0; i < rows.size(); i++) {
            Row row = rows.get(i);
            try {
                questions.add(question(row));
            } catch (IllegalArgumentException e) {
                String id = row.getAs(ID);
                problems.add("row " + (i + 1) + (id == null ? "" : " ('" + id + "')") + ": " + e.getMessage());
            }
        }
        if (!problems.isEmpty()) {
            throw new UsageException(
                    problems.size() + " of " + rows.size() + " questions cannot be scored: "
                            + FirstFew.of(problems, "; ")
                            + (unknownTask
                                    ? "; known tasks: " + String.join(", ", tasks) + ", and those of --tasks"
                                    : ""),
                    "--input");
        }
        return questions;
    }

    private Question question(Row row) {
        String malformed = row.getAs(MalformedRows.ERROR);
        if (malformed != null) {
            throw new IllegalArgumentException(malformed);
        }
        String id = required(row, ID, "id");
        if (!ids.add(id)) {
            throw new IllegalArgumentException("an earlier row has the same id");
        }
        String task = required(row, "task", "task");
        if (!tasks.contains(task)) {
            unknownTask = true;
            throw new IllegalArgumentException("unknown task '" + task + "'" + NearestName.hint(task, tasks));
        }
        String title = row.getAs("title");
        return new Question(
                id,
                title == null || title.isBlank() ? id : title,
                task,
                context(row.getAs("context")),
                depth(row.getAs("depth")),
                required(row, "question", "question"),
                required(row, "answer", "answer"));
    }

    private static String required(Row row, String column, String name) {
        String value = row.getAs(column);
        if (value == null || value.isBlank()) {
            throw new IllegalArgumentException("no " + name);
        }
        return value;
    }

    private static Integer context(String text) {
        if (text == null) {
            return null;
        }
        int context = 0;
        try {
            context = Integer.parseInt(text.strip());
        } catch (NumberFormatException e) {
            // 0 is refused below
        }
        if (context < 1) {
            throw new IllegalArgumentException("context = " + text + ": must be a whole number above 0");
        }
        return context;
    }

    private static Double depth(String text) {
        if (text == null) {
            return null;
        }
        double depth = Double.NaN;
        try {
            depth = Double.parseDouble(text.strip());
        } catch (NumberFormatException e) {
            // NaN is refused below
        }
        if (!(depth >= 0 && depth <= 1)) {
            throw new IllegalArgumentException("depth = " + text + ": must be a number from 0 to 1");
        }
        return depth;
    }
}
