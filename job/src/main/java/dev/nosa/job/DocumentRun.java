package dev.nosa.job;

import static org.apache.spark.sql.functions.broadcast;
import static org.apache.spark.sql.functions.col;

import java.io.IOException;
import java.time.Instant;
import java.util.List;
import java.util.function.UnaryOperator;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Observation;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.storage.StorageLevel;

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

    /** Hears how many documents the next waves have. */
    interface Progress {
        AutoCloseable start(long documents);
    }

    void execute() throws IOException {
        DocumentIds.Kind ids = folder.ids();
        if (folder.isNew() || folder.inputChanged()) {
            ids = DocumentIds.check(rows, idColumn);
        }
        Dataset<Row> documents = DocumentIds.assign(rows, idColumn, ids);
        if (folder.isNew()) {
            folder.plan(planner.plan(documents, 0), ids);
        }
        runPending(documents);
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

    private SparkSession spark() {
        return rows.sparkSession();
    }

    private void runPending(Dataset<Row> documents) throws IOException {
        List<Wave> pending = folder.pending();
        long count = pending.stream().mapToLong(Wave::documents).sum();
        int tasks = tasks(pending.size());
        inOrder(pending, count, wave -> run(wave, rowsOf(wave, documents), tasks));
    }

    private <T> void inOrder(List<T> waves, long documents, WaveRunner.Work<T> work) throws IOException {
        try (AutoCloseable line = progress.start(documents)) {
            WaveRunner.run(waves, spark().sparkContext(), "nosa", work);
        } catch (IOException | RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new IOException(e);
        }
    }

    /** Rows of other plans' waves lie in the range of this one's buckets too. */
    private Dataset<Row> rowsOf(Wave wave, Dataset<Row> documents) {
        Dataset<Row> inRange = documents.filter(wave.holds());
        List<Integer> others = folder.committedOfOtherPlans(wave.plan());
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
        compute(documents, tasks, results -> sink.write(wave.number(), totals.observed(results, seen)));
        folder.commit(totals.record(wave.number(), started, seen));
    }

    /** Takes what is to be done with results. */
    private interface Write {
        void write(Dataset<Row> results) throws IOException;
    }

    private void compute(Dataset<Row> documents, int tasks, Write write) throws IOException {
        // Read once: to see how long the documents are, and to send them where they are computed.
        Dataset<Row> kept = documents.persist(StorageLevel.DISK_ONLY());
        try {
            write.write(transform.apply(balance.spread(kept, tasks)));
        } finally {
            kept.unpersist();
        }
    }

    /** Documents with status error once more; the others of their waves stay as they are. */
    private void retry(Dataset<Row> documents) throws IOException {
        List<WaveRecord> failed =
                folder.committed().stream().filter(wave -> wave.errors() > 0).toList();
        long count = failed.stream().mapToLong(WaveRecord::errors).sum();
        int tasks = tasks(failed.size());
        inOrder(failed, count, wave -> retry(wave.wave(), documents, tasks));
    }

    private void retry(int wave, Dataset<Row> documents, int tasks) throws IOException {
        Instant started = Instant.now();
        Observation seen = new Observation();
        Dataset<Row> before = sink.read(spark(), wave);
        Dataset<Row> failed = before.filter(totals.failed()).select(col("id").as("__nosa_failed"));
        Dataset<Row> again =
                documents.join(broadcast(failed), col(DocumentIds.COLUMN).equalTo(col("__nosa_failed")), "left_semi");
        compute(again, tasks, results -> {
            // A failed document that the input does not have any more stays.
            Dataset<Row> found = again.select(col(DocumentIds.COLUMN).as("__nosa_done"));
            Dataset<Row> others = before.join(found, col("id").equalTo(col("__nosa_done")), "left_anti");
            sink.writeReplacement(wave, totals.observed(others.unionByName(results), seen));
        });
        folder.commitReplacement(totals.record(wave, started, seen));
    }
}
