package dev.nosa.job;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.when;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** The generations of a run by id: of this one, or of an earlier one or another engine. */
final class Generations {
    private Generations() {}

    /** Reads the run that {@code option} names, which must have one generation for each question and no other. */
    static Map<String, Generation> read(SparkSession spark, String path, String option, List<Question> questions) {
        InputPaths paths = InputPaths.find(path, option, spark.sparkContext().hadoopConfiguration());
        Dataset<Row> rows = new InputReader(spark, paths, null).open();
        InputReader.requireColumns(rows, List.of("id", "generation"), option);
        List<Row> malformed = rows.filter(col(MalformedRows.ERROR).isNotNull()).takeAsList(1);
        if (!malformed.isEmpty()) {
            throw new UsageException(path + ": " + malformed.get(0).<String>getAs(MalformedRows.ERROR), option);
        }
        List<String> twice = new ArrayList<>();
        Map<String, Generation> generations = of(rows, twice);
        if (!twice.isEmpty()) {
            throw new UsageException(path + " has several generations for " + FirstFew.of(twice, ", "), option);
        }
        requireSameIds(questions, generations.keySet(), path, option);
        return generations;
    }

    /** Those of a run whose ids are known to be unique. */
    static Map<String, Generation> of(Dataset<Row> rows) {
        return of(rows, new ArrayList<>());
    }

    private static Map<String, Generation> of(Dataset<Row> rows, List<String> twice) {
        Column failed = when(optional(rows, "status").equalTo("error"), lit("no reason is given"));
        Map<String, Generation> generations = new LinkedHashMap<>();
        rows.select(
                        col("id").cast("string"),
                        col("generation").cast("string"),
                        coalesce(optional(rows, "error"), failed),
                        optional(rows, "prompt_tokens").cast("int"))
                .collectAsList()
                .forEach(row -> {
                    Generation generation = new Generation(row.getString(1), row.getString(2), (Integer) row.get(3));
                    if (generations.put(row.getString(0), generation) != null) {
                        twice.add("'" + row.getString(0) + "'");
                    }
                });
        return generations;
    }

    private static Column optional(Dataset<Row> rows, String name) {
        return QuestionSet.has(rows, name) ? col(name) : lit(null).cast("string");
    }

    private static void requireSameIds(List<Question> questions, Set<String> given, String path, String option) {
        Set<String> unknown = new LinkedHashSet<>(given);
        List<String> missing = new ArrayList<>();
        for (Question question : questions) {
            if (!unknown.remove(question.id())) {
                missing.add("'" + question.id() + "'");
            }
        }
        List<String> complaints = new ArrayList<>();
        if (!missing.isEmpty()) {
            complaints.add(missing.size() + " of " + questions.size() + " questions have no generation: "
                    + FirstFew.of(missing, ", "));
        }
        if (!unknown.isEmpty()) {
            List<String> ids = unknown.stream().map(id -> "'" + id + "'").toList();
            complaints.add(
                    ids.size() + " of " + given.size() + " generations have no question: " + FirstFew.of(ids, ", "));
        }
        if (!complaints.isEmpty()) {
            throw new UsageException(path + " is of another run: " + String.join("; ", complaints), option);
        }
    }
}
