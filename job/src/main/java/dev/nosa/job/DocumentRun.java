package dev.nosa.job;

import static org.apache.spark.sql.functions.broadcast;
import static org.apache.spark.sql.functions.col;

import dev.nosa.spark.ExecutorCount;
import java.io.IOException;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.ToLongFunction;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Observation;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * All documents through the model, wave by wave: what is not committed yet, then rows that are new, then documents that
 * failed.
 *
 * @param rows the input
 * @param idColumn null: no row has an id
 * @param transform documents with {@link DocumentIds#COLUMN} to results
 * @param partitions tasks of a wave; 0: automatic
 */
record DocumentRun(
        RunFolder folder,
        WaveSink sink,
        Dataset<Row> rows,
        String idColumn,
        Balance balance,
        UnaryOperator<Dataset<Row>> transform,
        WaveTotals totals,
        WavePlanner planner,
        WaveOptions options,
        int partitions,
        Progress progress) {

    /** Hears how many documents the next waves have, and shows how many of them are done. */
    interface Progress {
        Running start(long documents);
    }

    /** Of waves that run. */
    interface Running extends AutoCloseable {
        /** How many are done, as far as is known. */
        long documents();

        @Override
        void close();
    }

    /** Whether documents may have to be computed, as far as can be told without reading the input. */
    boolean hasWork() {
        return folder.isNew()
                || !folder.pending().isEmpty()
                || options.incremental && folder.inputChanged()
                || options.retryFailed && folder.committed().stream().anyMatch(wave -> wave.errors() > 0);
    }

    void execute() throws IOException {
        List<WaveRecord> before =
                folder.committed().stream().filter(wave -> wave.documents() > 0).toList();
        DocumentIds.Kind ids = folder.ids();
        if (folder.isNew() || folder.inputChanged()) {
            ids = DocumentIds.check(rows, idColumn);
        }
        Dataset<Row> documents = DocumentIds.assign(rows, idColumn, ids);
        if (folder.isNew()) {
            folder.plan(planner.plan(documents, 0), ids);
        }
        runPending(documents);
        requireAllRows(before);
        if (options.incremental && folder.inputChanged()) {
            Dataset<Row> fresh = without(documents, sink.read(spark()));
            WavePlan plan = planner.plan(fresh, folder.nextWave());
            if (plan.documents().stream().anyMatch(count -> count > 0)) {
                folder.plan(plan, ids);
                runPending(documents);
            }
            folder.keepInput();
        }
        if (options.retryFailed) {
            retry(documents);
        }
    }

    /** What somebody has taken out of waves that were there before, or put into them, is said before anything builds on them. */
    private void requireAllRows(List<WaveRecord> before) {
        if (before.isEmpty()) {
            return;
        }
        Map<Integer, Long> rows = new HashMap<>();
        sink.read(spark())
                .groupBy(col(WaveSink.COLUMN).cast("int"))
                .count()
                .collectAsList()
                .forEach(wave -> rows.put(wave.getInt(0), wave.getLong(1)));
        for (WaveRecord wave : before) {
            long found = rows.getOrDefault(wave.wave(), 0L);
            if (found != wave.documents()) {
                throw new UsageException(
                        String.format(
                                "wave %05d of %s holds %d rows, and was committed with %d: remove what is left of it, and the"
                                        + " same command computes it again",
                                wave.wave(), sink.root(), found, wave.documents()),
                        "--output");
            }
        }
    }

    private SparkSession spark() {
        return rows.sparkSession();
    }

    private void runPending(Dataset<Row> documents) throws IOException {
        // One plan behind the other: which rows a later one has follows from what the earlier ones have committed.
        Map<Integer, List<Wave>> plans =
                folder.pending().stream().collect(Collectors.groupingBy(Wave::plan, TreeMap::new, Collectors.toList()));
        for (List<Wave> waves : plans.values()) {
            int tasks = tasks(waves.size());
            inOrder(
                    waves,
                    Wave::documents,
                    group -> rowsOf(group, documents),
                    (wave, rows) -> run(wave, rows.filter(wave.holds()), tasks));
        }
    }

    /** What is to be done for a wave, with the rows of it and of others. */
    private interface Work<T> {
        void run(T wave, Dataset<Row> rows) throws IOException;
    }

    private <T> void inOrder(
            List<T> waves, ToLongFunction<T> documents, Function<List<T>, Dataset<Row>> rowsOf, Work<T> work)
            throws IOException {
        try (Running line = progress.start(waves.stream().mapToLong(documents).sum());
                SharedRows<T> shared = new SharedRows<>(waves, rowsOf)) {
            WaveRunner.run(waves, documents, new WaveGate(line::documents), spark().sparkContext(), wave -> {
                try {
                    work.run(wave, shared.rows(wave));
                } finally {
                    shared.done(wave);
                }
            });
        }
    }

    /** Of waves of one plan; rows of other plans' waves lie in the ranges of their buckets too. */
    private Dataset<Row> rowsOf(List<Wave> waves, Dataset<Row> documents) {
        Dataset<Row> inRange = documents.filter(Wave.holds(waves));
        List<Integer> others = folder.committedOfOtherPlans(waves.get(0).plan());
        return others.isEmpty()
                ? inRange
                : without(
                        inRange, sink.read(spark()).filter(col(WaveSink.COLUMN).isin(others.toArray())));
    }

    private static Dataset<Row> without(Dataset<Row> documents, Dataset<Row> results) {
        Dataset<Row> done = results.select(col("id").as("__nosa_done"));
        return documents.join(done, col(DocumentIds.COLUMN).equalTo(col("__nosa_done")), "left_anti");
    }

    /**
     * One a core, so that every executor's engine has work. Of several waves each leaves a core of every executor free: there the
     * next one is read and begins while this one runs.
     */
    private int tasks(int waves) {
        if (partitions > 0) {
            return partitions;
        }
        int cores = spark().sparkContext().defaultParallelism();
        return waves > 1 ? Math.max(1, cores - ExecutorCount.of(spark().sparkContext())) : cores;
    }

    private void run(Wave wave, Dataset<Row> documents, int tasks) throws IOException {
        Instant started = Instant.now();
        Observation seen = new Observation();
        Dataset<Row> results = transform.apply(balance.spread(documents, tasks));
        sink.write(wave.number(), totals.observed(results, seen));
        folder.commit(totals.record(wave.number(), started, seen));
    }

    /** Documents with status error once more; the others of their waves stay as they are. */
    private void retry(Dataset<Row> documents) throws IOException {
        List<WaveRecord> failed =
                folder.committed().stream().filter(wave -> wave.errors() > 0).toList();
        int tasks = tasks(failed.size());
        inOrder(
                failed,
                WaveRecord::errors,
                group -> failedOf(group, documents),
                (wave, rows) -> retry(wave.wave(), rows, tasks));
    }

    private Dataset<Row> failedOf(List<WaveRecord> waves, Dataset<Row> documents) {
        Object[] numbers = waves.stream().map(WaveRecord::wave).toArray();
        return failedIn(sink.read(spark()).filter(col(WaveSink.COLUMN).isin(numbers)), documents);
    }

    /** Those documents of which {@code results} holds a failure. */
    private Dataset<Row> failedIn(Dataset<Row> results, Dataset<Row> documents) {
        Dataset<Row> failed = results.filter(totals.failed()).select(col("id").as("__nosa_failed"));
        return documents.join(broadcast(failed), col(DocumentIds.COLUMN).equalTo(col("__nosa_failed")), "left_semi");
    }

    private void retry(int wave, Dataset<Row> documents, int tasks) throws IOException {
        Instant started = Instant.now();
        Observation seen = new Observation();
        Dataset<Row> before = sink.read(spark(), wave);
        Dataset<Row> again = failedIn(before, documents);
        Dataset<Row> results = transform.apply(balance.spread(again, tasks));
        // A failed document that the input does not have any more stays.
        Dataset<Row> found = again.select(col(DocumentIds.COLUMN).as("__nosa_done"));
        Dataset<Row> others = before.join(found, col("id").equalTo(col("__nosa_done")), "left_anti");
        sink.writeReplacement(wave, totals.observed(others.unionByName(results), seen));
        folder.commitReplacement(totals.record(wave, started, seen));
    }
}
