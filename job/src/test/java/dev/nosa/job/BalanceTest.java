package dev.nosa.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.length;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.repeat;
import static org.apache.spark.sql.functions.spark_partition_id;
import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.job.Balance.Document;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

class BalanceTest extends JobFixture {
    @Test
    void equalDocumentsAreDealtOutEvenly() {
        List<Document> documents =
                IntStream.range(0, 32).mapToObj(i -> new Document("d" + i, 100)).toList();
        Map<String, Integer> taskOf = Balance.assign(documents, 8);
        for (int task = 0; task < 8; task++) {
            int number = task;
            assertThat(taskOf.values().stream().filter(of -> of == number)).hasSize(4);
        }
    }

    /** No task has more than another by more than the last document that it was given, and a short one at that. */
    @Test
    void tasksDifferByLessThanAShortDocument() {
        Random random = new Random(7);
        List<Document> documents = IntStream.range(0, 500)
                .mapToObj(i -> new Document("d" + i, 1 + random.nextInt(1000)))
                .toList();
        long[] lengths = new long[7];
        Map<String, Integer> taskOf = Balance.assign(documents, 7);
        documents.forEach(document -> lengths[taskOf.get(document.id())] += document.length());
        Arrays.sort(lengths);
        assertThat(lengths[6] - lengths[0]).isLessThan(20);
    }

    @Test
    void aLongDocumentHasATaskOfItsOwn() {
        List<Document> documents =
                List.of(new Document("a", 10), new Document("b", 10), new Document("long", 100), new Document("c", 10));
        Map<String, Integer> taskOf = Balance.assign(documents, 2);
        assertThat(taskOf.values().stream().filter(taskOf.get("long")::equals)).hasSize(1);
    }

    @Test
    void documentsOfAGroupHaveOneTaskAndCountOnce() {
        List<Document> documents = List.of(
                new Document("a", 10, "same"),
                new Document("b", 10, "same"),
                new Document("c", 10, "same"),
                new Document("d", 10),
                new Document("e", 9));
        Map<String, Integer> taskOf = Balance.assign(documents, 2);
        assertThat(taskOf.get("b")).isEqualTo(taskOf.get("a"));
        assertThat(taskOf.get("c")).isEqualTo(taskOf.get("a"));
        assertThat(taskOf.get("d")).isNotEqualTo(taskOf.get("a"));
    }

    @Test
    void rowsOfEqualValuesAreAGroup() {
        Dataset<Row> rows = spark.sql(
                        "SELECT * FROM VALUES ('1', 'x', 'p'), ('2', 'x', 'q'), ('3', 'x', 'p') AS t(k, text, title)")
                .withColumnRenamed("k", DocumentIds.COLUMN);
        List<Document> documents = new Balance("text", List.of("text", "title")).lengths(rows);
        assertThat(documents.stream().map(Document::group).distinct()).hasSize(2);
        assertThat(new Balance("text", List.of("text"))
                        .lengths(rows).stream().map(Document::group).distinct())
                .hasSize(1);
    }

    @Test
    void rowsOfSeveralPartitionsArriveWhereTheyWereDealtTheLongestFirst() {
        Dataset<Row> rows = spark.range(0, 40, 1, 5)
                .select(
                        concat(lit("d"), col("id")).as(DocumentIds.COLUMN),
                        repeat(lit("x"), col("id").cast("int")).as("text"));
        Balance balance = new Balance("text", List.of());
        List<Document> documents = balance.lengths(rows);
        assertThat(documents).hasSize(40).contains(new Document("d7", 7));
        Map<String, Integer> taskOf = Balance.assign(documents, 6);
        List<Row> dealt = balance.spread(rows, 6)
                .select(col(DocumentIds.COLUMN), length(col("text")), spark_partition_id())
                .collectAsList();
        assertThat(dealt).hasSize(40);
        List<List<Integer>> lengths = new ArrayList<>();
        for (int task = 0; task < 6; task++) {
            lengths.add(new ArrayList<>());
        }
        for (Row row : dealt) {
            assertThat(row.getInt(2)).isEqualTo(taskOf.get(row.getString(0)));
            lengths.get(row.getInt(2)).add(row.getInt(1));
        }
        assertThat(lengths).allSatisfy(of -> assertThat(of).isNotEmpty().isSortedAccordingTo((a, b) -> b - a));
    }
}
