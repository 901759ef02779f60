package dev.nosa.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.desc;
import static org.apache.spark.sql.functions.lit;

import dev.nosa.model.ModelConfig;
import dev.nosa.spark.EngineReport;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Model.CommandSpec;
import scala.Tuple2;

/**
 * All that a run's report says, as in {@code report.json}.
 *
 * @param layers empty where no engine has reported
 * @param executors an engine each; those of a job that was killed are missing
 */
record ReportData(
        int version,
        String command,
        String output,
        Run run,
        Model model,
        Totals totals,
        List<Reason> finishReasons,
        List<RunReport.ErrorClass> errors,
        Timeline timeline,
        List<Distribution> distributions,
        List<Layer> layers,
        List<EngineReport> executors,
        List<WaveRecord> waves,
        Configuration configuration) {
    private static final int VERSION = 1;

    /** @param finished null: it is not complete */
    record Run(String id, String created, boolean complete, String finished, String nosaVersion, String sparkVersion) {}

    record Model(String name, int layers, int kvHeads, String mode, int longest) {}

    /**
     * Counts of results.
     *
     * @param seconds in which results were computed, over all jobs of the run
     * @param tokensPerS that were computed, prompt and output
     */
    record Totals(
            long documents,
            long ok,
            long truncated,
            long errors,
            long promptTokens,
            long sharedTokens,
            long outputTokens,
            double seconds,
            double tokensPerS,
            double outputTokensPerS,
            double drainSeconds) {}

    record Reason(String reason, long rows) {}

    /** @param turnover blocks fetched per KV head and decode step */
    record Layer(int layer, long missed, double turnover) {}

    /** What was set, by name. */
    record Configuration(Map<String, String> options, Map<String, String> spark) {
        private static final String SECRETS = "(?i)secret|password|token|access[.]?key";

        static Configuration of(CommandSpec command, SparkSession session) {
            return new Configuration(
                    RunSettings.all(command), shown(session.sparkContext().getConf()));
        }

        /** Without what Spark itself hides on its pages. */
        static Map<String, String> shown(SparkConf conf) {
            Pattern secret = Pattern.compile(conf.get("spark.redaction.regex", SECRETS));
            Map<String, String> shown = new TreeMap<>();
            for (Tuple2<String, String> entry : conf.getAll()) {
                boolean hidden = secret.matcher(entry._1).find()
                        || secret.matcher(entry._2).find();
                shown.put(entry._1, hidden ? "(redacted)" : entry._2);
            }
            return shown;
        }
    }

    /**
     * Reads the results several times.
     *
     * @param results one row a result
     */
    static ReportData of(
            RunEnd run,
            String output,
            Model model,
            RunReport totals,
            Dataset<Row> results,
            List<EngineReport> engines,
            Configuration configuration) {
        Manifest manifest = run.manifest();
        Timeline timeline = Timeline.of(results);
        return new ReportData(
                VERSION,
                manifest.settings().get("command"),
                output,
                new Run(
                        manifest.run(),
                        manifest.created(),
                        run.finished() != null,
                        Objects.toString(run.finished(), null),
                        new Version().getVersion()[0].replaceFirst("^nosa ", ""),
                        results.sparkSession().version()),
                model,
                totals(totals, timeline),
                reasons(results),
                totals.errorClasses(),
                timeline,
                Distributions.of(results),
                layers(engines),
                engines,
                run.waves(),
                configuration);
    }

    static Model model(String name, ModelConfig config, String mode) {
        return new Model(name, config.layers(), config.kvHeads(), mode, config.maxPositions());
    }

    private static Totals totals(RunReport report, Timeline timeline) {
        double seconds = timeline.points().size() * timeline.bucketSeconds();
        return new Totals(
                report.documents(),
                report.documents() - report.truncated() - report.errors(),
                report.truncated(),
                report.errors(),
                report.promptTokens(),
                report.sharedTokens(),
                report.outputTokens(),
                seconds,
                seconds == 0 ? 0 : (report.promptTokens() - report.sharedTokens() + report.outputTokens()) / seconds,
                seconds == 0 ? 0 : report.outputTokens() / seconds,
                timeline.drainSeconds());
    }

    private static List<Reason> reasons(Dataset<Row> results) {
        return results
                .groupBy(col("finish_reason"))
                .agg(count(lit(1)).as("rows"))
                .orderBy(desc("rows"))
                .collectAsList()
                .stream()
                .map(row -> new Reason(row.isNullAt(0) ? "unknown" : row.getString(0), row.getLong(1)))
                .toList();
    }

    private static List<Layer> layers(List<EngineReport> engines) {
        List<Layer> layers = new ArrayList<>();
        int count = engines.stream()
                .mapToInt(engine -> engine.missedByLayer().length)
                .max()
                .orElse(0);
        long heads = engines.stream().mapToLong(EngineReport::heads).sum();
        for (int i = 0; i < count && heads > 0; i++) {
            int layer = i;
            long missed = engines.stream()
                    .map(EngineReport::missedByLayer)
                    .mapToLong(misses -> layer < misses.length ? misses[layer] : 0)
                    .sum();
            layers.add(new Layer(layer, missed, (double) missed * count / heads));
        }
        return layers;
    }
}
