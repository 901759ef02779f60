package dev.nosa.job;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.length;
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
import org.apache.spark.sql.types.DataTypes;
import scala.reflect.ClassTag$;

/**
 * Deals documents out to tasks so that each has about as much text: the longest first, each to the task that has least so far.
 * Executors run as many tasks each, so none of their GPUs waits long for the others at the end.
 */
final class Balance {
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

    private Balance() {}

    /**
     * Ids and lengths of {@code rows}, which have {@link DocumentIds#COLUMN}; reads all of them.
     *
     * @param equalBy columns of which equal values make a group; empty: every document is alone
     */
    static List<Document> lengths(Dataset<Row> rows, String textColumn, List<String> equalBy) {
        Column[] values =
                equalBy.stream().map(name -> col(DocumentIds.quoted(name))).toArray(Column[]::new);
        Column group = equalBy.isEmpty() ? col(DocumentIds.COLUMN) : sha2(to_json(struct(values)), 256);
        return rows.select(col(DocumentIds.COLUMN), lengthOf(textColumn), group).collectAsList().stream()
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

    /** {@code rows} in {@code tasks} partitions, the longest first in each. */
    static Dataset<Row> spread(Dataset<Row> rows, String textColumn, List<Document> documents, int tasks) {
        Broadcast<Map<String, Integer>> taskOf = rows.sparkSession()
                .sparkContext()
                .broadcast(assign(documents, tasks), ClassTag$.MODULE$.apply(Map.class));
        UDF1<String, Integer> task = id -> taskOf.value().get(id);
        return rows.repartitionById(tasks, udf(task, DataTypes.IntegerType).apply(col(DocumentIds.COLUMN)))
                .sortWithinPartitions(lengthOf(textColumn).desc(), col(DocumentIds.COLUMN));
    }

    private static Column lengthOf(String textColumn) {
        return coalesce(length(col(DocumentIds.quoted(textColumn)).cast("string")), lit(0));
    }
}
