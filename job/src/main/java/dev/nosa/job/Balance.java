package dev.nosa.job;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.sha2;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.to_json;
import static org.apache.spark.sql.functions.udf;

import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import scala.reflect.ClassTag$;

/**
 * Deals documents out to tasks so that each has about as much text: the longest first, each to the task that has least so far.
 * Executors run as many tasks each, so none of their GPUs waits long for the others at the end.
 *
 * @param textColumn what is measured
 * @param equalBy columns of which equal values make a group that is computed once; empty: every document is alone
 */
record Balance(String textColumn, List<String> equalBy) {
    /**
     * A document, and how long its text is: characters, which are as good as tokens to compare. Those of one group are
     * computed once and go to one task.
     */
    record Document(String id, long length, String group) {
        Document(String id, long length) {
            this(id, length, id);
        }
    }

    private record Task(int number, long length) {}

    /** Ids and lengths of {@code rows}, which have {@link DocumentIds#COLUMN}; reads all of them. */
    List<Document> lengths(Dataset<Row> rows) {
        Column[] values =
                equalBy.stream().map(name -> col(DocumentIds.quoted(name))).toArray(Column[]::new);
        Column group = equalBy.isEmpty() ? col(DocumentIds.COLUMN) : sha2(to_json(struct(values)), 256);
        return rows.select(col(DocumentIds.COLUMN), length(), group).collectAsList().stream()
                .map(row -> new Document(row.getString(0), row.getInt(1), row.getString(2)))
                .toList();
    }

    /** The task of each document, by its id: from 0 to {@code tasks - 1}. */
    static Map<String, Integer> assign(List<Document> documents, int tasks) {
        PriorityQueue<Task> least =
                new PriorityQueue<>(Comparator.comparingLong(Task::length).thenComparingInt(Task::number));
        for (int task = 0; task < tasks; task++) {
            least.add(new Task(task, 0));
        }
        Map<String, Integer> taskOf = new HashMap<>();
        Map<String, Integer> taskOfGroup = new HashMap<>();
        documents.stream()
                .sorted(Comparator.comparingLong(Document::length).reversed().thenComparing(Document::id))
                .forEach(document -> {
                    if (!taskOfGroup.containsKey(document.group())) {
                        Task task = least.remove();
                        taskOfGroup.put(document.group(), task.number());
                        least.add(new Task(task.number(), task.length() + document.length()));
                    }
                    taskOf.put(document.id(), taskOfGroup.get(document.group()));
                });
        return taskOf;
    }

    /** {@code rows} in {@code most} partitions or, where they are fewer, one for each; the longest first in each. */
    Dataset<Row> spread(Dataset<Row> rows, int most) {
        List<Document> documents = lengths(rows);
        int tasks = Math.max(1, Math.min(most, documents.size()));
        Broadcast<Map<String, Integer>> taskOf = rows.sparkSession()
                .sparkContext()
                .broadcast(assign(documents, tasks), ClassTag$.MODULE$.apply(Map.class));
        UDF1<String, Integer> task = id -> taskOf.value().get(id);
        return rows.repartitionById(tasks, udf(task, DataTypes.IntegerType).apply(col(DocumentIds.COLUMN)))
                .sortWithinPartitions(length().desc(), col(DocumentIds.COLUMN));
    }

    private Column length() {
        return coalesce(functions.length(col(DocumentIds.quoted(textColumn)).cast("string")), lit(0));
    }
}
