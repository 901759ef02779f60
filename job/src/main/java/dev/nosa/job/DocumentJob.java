package dev.nosa.job;

import static org.apache.spark.sql.functions.col;

import dev.nosa.engine.EngineConfig;
import dev.nosa.model.ModelConfig;
import dev.nosa.spark.EarlyStart;
import dev.nosa.spark.GpuAddress;
import dev.nosa.spark.NosaBuilder;
import dev.nosa.spark.RunProgress;
import dev.nosa.sparse.AttentionMode;
import java.io.IOException;
import java.io.PrintWriter;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.UnaryOperator;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** One pass over the documents: check everything, read, transform, write, report. */
abstract class DocumentJob implements Callable<Integer> {
    private static final Logger log = LoggerFactory.getLogger(DocumentJob.class);

    @Spec
    CommandSpec spec;

    @Mixin
    final InputOptions input = new InputOptions();

    @Mixin
    final PromptOptions prompt = new PromptOptions();

    @Mixin
    final OutputOptions output = new OutputOptions();

    @Mixin
    final WaveOptions waves = new WaveOptions();

    @Mixin
    final ModelOptions model = new ModelOptions();

    @Mixin
    final CommonOptions common = new CommonOptions();

    @Option(
            names = "--show",
            paramLabel = "N",
            defaultValue = "0",
            description = "Print the results of the first N documents at the end (default: ${DEFAULT-VALUE})")
    int show;

    /** What the job is run with, all of it checked; {@code prompt} is null where the subcommand has others. */
    record Setup(EngineConfig engine, String prompt) {}

    /** Checks the options of the subcommand itself. */
    abstract void checkOwnOptions();

    /** Columns that the subcommand reads beside those of the shared options, and the option that names them. */
    abstract void checkOwnColumns(Dataset<Row> rows);

    /** Tokens that a document needs beside its prompt, at least. */
    abstract int extraTokens();

    abstract Dataset<Row> transform(Dataset<Row> documents, Setup setup, RunProgress progress);

    /** Sets the options that all subcommands share. */
    <B extends NosaBuilder<B>> B configure(B builder, Setup setup, RunProgress progress) {
        return builder.prompt(setup.prompt())
                .system(prompt.system)
                .useChatTemplate(!prompt.raw)
                .onTooLong(prompt.policy())
                .textColumn(input.textColumn)
                .idColumn(DocumentIds.COLUMN)
                .errorColumn(MalformedRows.ERROR)
                .passThrough(input.passThrough.toArray(String[]::new))
                .progress(progress)
                .engine(setup.engine());
    }

    /** The prompt's template; null where the subcommand has others. */
    String promptText() {
        return prompt.text();
    }

    /** Columns of which equal values mean that documents are computed once; empty: each document is. */
    List<String> equalBy(String template) {
        return List.of();
    }

    /** What of the prompt changes results, by the names of options. */
    Map<String, String> promptSettings(String template) {
        return Map.of("prompt", template);
    }

    /** Results of one document. */
    int answersPerDocument() {
        return 1;
    }

    /** Struct columns of the output that hold a result each; empty where a row is one. */
    List<String> answerColumns() {
        return List.of();
    }

    /** The output as one row for each result, whatever its layout. */
    Dataset<Row> answers(Dataset<Row> written) {
        return written;
    }

    /** Prints what was written, and returns the exit code; {@code page} is null where the report could not be written. */
    abstract int report(Dataset<Row> written, RunReport totals, String page, ModelConfig config) throws IOException;

    /** What needs a session; returns the exit code. */
    interface SessionWork {
        int run(SparkSession spark) throws IOException;
    }

    @Override
    public final Integer call() throws IOException {
        input.check();
        if (show < 0) {
            throw new UsageException("show = " + show + ": must be 0 or more", "--show");
        }
        checkOwnOptions();
        return start();
    }

    /** Runs what the options ask for, and returns the exit code. */
    int start() throws IOException {
        output.check();
        waves.check();
        prompt.policy();
        Setup setup = new Setup(model.engineConfig(), promptText());
        ModelConfig config = ModelCheck.read(setup.engine());
        return inSession(spark -> run(spark, setup, config));
    }

    /** Runs {@code work} in the session of this JVM, or in one that ends with it. */
    int inSession(SessionWork work) throws IOException {
        boolean ownSession = SparkSession.getDefaultSession().isEmpty();
        SparkSession spark =
                SparkSession.builder().appName("nosa " + spec.name()).getOrCreate();
        try {
            checkGpus(spark);
            return work.run(spark);
        } finally {
            if (ownSession) {
                spark.stop();
            }
        }
    }

    private static void checkGpus(SparkSession spark) {
        try {
            GpuAddress.check(spark.sparkContext());
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage(), "--conf", e);
        }
    }

    private int run(SparkSession spark, Setup setup, ModelConfig config) throws IOException {
        InputPaths paths = input.paths(spark);
        Dataset<Row> rows = input.open(spark, paths);
        String idColumn = checkColumns(rows, setup.prompt());
        OutputFolder folder =
                OutputFolder.prepare(output, paths, spark.sparkContext().hadoopConfiguration());
        ModelCheck.requireRoom(setup.engine(), config, extraTokens());
        RunProgress progress = new RunProgress(spark.sparkContext());
        UnaryOperator<Dataset<Row>> transform = documents -> checked(documents, setup, progress);
        // Wrong columns are found here, before anything is written.
        StructType schema = transform
                .apply(DocumentIds.assign(rows, idColumn, DocumentIds.Kind.GIVEN))
                .schema();

        WaveTotals totals = new WaveTotals(answerColumns());
        WavePlanner planner =
                new WavePlanner(waves, input.textColumn, setup.engine().model(), model.backend);
        Balance balance = new Balance(input.textColumn, equalBy(setup.prompt()));
        Map<String, String> settings = RunSettings.of(spec, promptSettings(setup.prompt()), setup.engine());
        InputState state = InputState.of(paths.files(spark.sparkContext().hadoopConfiguration()));
        long start = System.nanoTime();
        WaveSink sink = WaveSink.of(folder.fs(), folder.work(), output.format, schema);
        RunEnd end;
        try (RunFolder run = RunFolder.open(folder, sink, totals, settings, state, waves, spark)) {
            List<WaveRecord> before = run.committed();
            DocumentRun documentRun = new DocumentRun(
                    run,
                    sink,
                    rows,
                    idColumn,
                    balance,
                    transform,
                    totals,
                    planner,
                    waves,
                    input.partitions,
                    documents -> progressLine(spark, documents));
            if (documentRun.hasWork()) {
                EarlyStart.begin(spark.sparkContext(), setup.engine());
            }
            ReportFiles reports = new ReportFiles(folder.fs(), folder.work());
            boolean done = false;
            try {
                documentRun.execute();
                done = true;
            } finally {
                reports.keep(progress.engines());
                if (!done && run.isOurs() && !run.committed().isEmpty()) {
                    reportUnfinished(sink, end(run, before, start, null), reports, setup.engine(), config);
                }
            }
            run.complete();
            end = end(run, before, start, Instant.now());
        }
        Dataset<Row> written = answers(
                WaveSink.of(folder.fs(), folder.target(), output.format, schema).read(spark));
        return report(written, end, new ReportFiles(folder.fs(), folder.target()), setup.engine(), config);
    }

    private static RunEnd end(RunFolder run, List<WaveRecord> before, long start, Instant finished) {
        return new RunEnd(run.manifest(), before, run.committed(), (System.nanoTime() - start) / 1e9, finished);
    }

    /** Of the waves that are there; why the job fails is more important than a failure here. */
    private void reportUnfinished(
            WaveSink sink, RunEnd run, ReportFiles reports, EngineConfig engine, ModelConfig config) {
        try {
            Object[] there = run.waves().stream().map(WaveRecord::wave).toArray();
            Dataset<Row> written =
                    sink.read(SparkSession.active()).filter(col(WaveSink.COLUMN).isin(there));
            RunReport totals = RunReport.of(answers(written), run.seconds(), run.before());
            if (write(totals, answers(written), run, reports, engine, config)) {
                PrintWriter err = spec.commandLine().getErr();
                err.printf("nosa: report of what is done: %s%n", reports.page());
                err.flush();
            }
        } catch (Exception e) { // Spark throws checked exceptions that it does not declare
            log.warn("There is no report of what is done: {}", e.getMessage());
        }
    }

    private int report(Dataset<Row> written, RunEnd run, ReportFiles reports, EngineConfig engine, ModelConfig config)
            throws IOException {
        RunReport totals = RunReport.of(written, run.seconds(), run.before());
        boolean isThere = write(totals, written, run, reports, engine, config);
        return report(written, totals, isThere ? reports.page().toString() : null, config);
    }

    private boolean write(
            RunReport totals,
            Dataset<Row> written,
            RunEnd run,
            ReportFiles reports,
            EngineConfig engine,
            ModelConfig config) {
        AttentionMode mode = engine.mode() == null ? config.mode() : engine.mode();
        return reports.write(engines -> ReportData.of(
                run,
                output.output,
                ReportData.model(engine.model().toAbsolutePath().getFileName().toString(), config, mode.configName()),
                totals,
                written,
                engines,
                ReportData.Configuration.of(spec, written.sparkSession())));
    }

    private DocumentRun.Running progressLine(SparkSession spark, long documents) {
        TaskProgress tasks = new TaskProgress();
        spark.sparkContext().addSparkListener(tasks);
        ProgressLine line = ProgressLine.start(
                tasks::snapshot,
                documents * answersPerDocument(),
                spec.commandLine().getErr());
        return new DocumentRun.Running() {
            @Override
            public long documents() {
                return tasks.snapshot().documents() / answersPerDocument();
            }

            @Override
            public void close() {
                line.close();
                spark.sparkContext().removeSparkListener(tasks);
            }
        };
    }

    private Dataset<Row> checked(Dataset<Row> documents, Setup setup, RunProgress progress) {
        try {
            return transform(documents, setup, progress);
        } catch (IllegalArgumentException e) {
            throw UsageException.of(e);
        }
    }

    /** Checks every column that an option names, and returns the id column, or null where there is none. */
    private String checkColumns(Dataset<Row> rows, String template) {
        InputReader.requireColumns(rows, List.of(input.textColumn), "--text-column");
        InputReader.requireColumns(rows, input.passThrough, "--pass-through");
        checkOwnColumns(rows);
        if (template != null) {
            InputReader.requireColumns(
                    rows, new ArrayList<>(PromptOptions.parse(template).columns()), "--prompt");
        }
        if (input.idColumn != null) {
            InputReader.requireColumns(rows, List.of(input.idColumn), "--id-column");
            return input.idColumn;
        }
        boolean hasId = Arrays.asList(rows.columns()).contains(InputOptions.DEFAULT_ID_COLUMN);
        return hasId ? InputOptions.DEFAULT_ID_COLUMN : null;
    }

    /** Prints {@code column} of as many rows as {@code --show} says, by id. */
    void printFirst(Dataset<Row> written, String column) {
        PrintWriter out = spec.commandLine().getOut();
        written.select(col("id"), col("status"), col(column).cast("string"))
                .orderBy("id")
                .takeAsList(show * answersPerDocument())
                .forEach(row -> out.printf("--- %s (%s)%n%s%n", row.get(0), row.get(1), row.get(2)));
    }

    /** Prints the totals, and returns the exit code: too many error rows are a failure. */
    int printTotals(RunReport totals, String page, ModelConfig config) {
        totals.print(spec.commandLine().getOut(), config, output.output, page);
        if (totals.errorRate() <= output.maxErrorRate) {
            return 0;
        }
        return failed(
                "%d of %d documents failed, more than the share of %s; the output is kept (--max-error-rate)",
                totals.errors(), totals.documents(), output.maxErrorRate);
    }

    /** Says on stderr why the job failed, and returns its exit code. */
    int failed(String format, Object... values) {
        PrintWriter err = spec.commandLine().getErr();
        err.printf("nosa: error: " + format + "%n", values);
        err.flush();
        return Failures.JOB_FAILED;
    }
}
