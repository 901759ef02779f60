package dev.nosa.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.length;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.udf;

import dev.nosa.model.ModelConfig;
import dev.nosa.spark.RunProgress;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataTypes;
import picocli.CommandLine.Command;

/** A job like {@code nosa generate}, in one JVM, whose documents cost nothing: it notes when they come. */
@Command(name = "generate")
final class StubJob extends DocumentJob {
    /** Why a job ends before its end. */
    static final String ENOUGH = "enough is known";

    /** When the first document of a wave was there; static, since Spark sends copies of functions to its tasks. */
    private static final AtomicLong FIRST_DOCUMENT = new AtomicLong();

    private final int waves;

    /** When the results' columns were asked for, and then when each wave was ready to start. */
    private final List<Long> started = new CopyOnWriteArrayList<>();

    /** Fails where more than so many waves are started; with 0, at the first document. */
    StubJob(int waves) {
        this.waves = waves;
        FIRST_DOCUMENT.set(0);
    }

    /** Of {@link System#nanoTime}; 0 if none came. */
    long firstDocument() {
        return FIRST_DOCUMENT.get();
    }

    /** Before the run's folder is opened. */
    long checked() {
        return started.get(0);
    }

    /** When wave {@code index} of those that this job has done was ready to start. */
    long ready(int index) {
        return started.get(index + 1);
    }

    int startedWaves() {
        return started.size() - 1;
    }

    @Override
    void checkOwnOptions() {}

    @Override
    void checkOwnColumns(Dataset<Row> rows) {}

    @Override
    int extraTokens() {
        return 1;
    }

    @Override
    Dataset<Row> transform(Dataset<Row> documents, Setup setup, RunProgress progress) {
        started.add(System.nanoTime());
        if (waves > 0 && startedWaves() > waves) {
            throw new IllegalStateException(ENOUGH);
        }
        return results(documents, input.textColumn, waves == 0);
    }

    /** Rows as a wave has them. */
    static Dataset<Row> results(Dataset<Row> documents, String textColumn, boolean fail) {
        UDF1<String, String> answer = text -> {
            FIRST_DOCUMENT.compareAndSet(0, System.nanoTime());
            if (fail) {
                throw new IllegalStateException(ENOUGH);
            }
            return "an answer";
        };
        return documents.select(
                col(DocumentIds.COLUMN).as("id"),
                udf(answer, DataTypes.StringType).apply(col(textColumn)).as("generation"),
                lit("ok").as("status"),
                lit(null).cast("string").as("error"),
                length(col(textColumn)).as("prompt_tokens"),
                lit(2).as("output_tokens"),
                struct(
                                lit(0).as("shared_tokens"),
                                lit(1.0).as("queued_ms"),
                                lit(1_790_000_000_000L).as("finished_ms"),
                                lit(1.0).as("prefill_ms"),
                                lit(1.0).as("decode_ms"),
                                lit(0L).as("blocks_selected"),
                                lit(0L).as("blocks_missed"))
                        .as("usage"));
    }

    @Override
    int report(Dataset<Row> written, RunReport totals, String page, ModelConfig config) {
        return 0;
    }
}
