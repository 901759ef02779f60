package dev.nosa.job;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.udf;

import dev.nosa.arrow.ResultRow;
import dev.nosa.engine.EngineSettings;
import dev.nosa.model.ModelConfig;
import dev.nosa.spark.NosaGenerate;
import dev.nosa.spark.RunProgress;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.types.DataTypes;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.OptionSpec;

/** {@code nosa eval}: the share of questions that a model answers as expected. */
@Command(
        name = "eval",
        description = "Answers questions about documents, and prints how many of the answers are the expected ones, by"
                + " task, context length and depth.",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        defaultValueProvider = EvalDefaults.class,
        sortOptions = false,
        abbreviateSynopsis = true)
final class EvalJob extends DocumentJob {
    private static final String CORRECT = "correct";
    private static final Set<String> WITHOUT_MODEL = Set.of(
            "--input",
            "--input-format",
            "--id-column",
            "--limit",
            "--show",
            "--tasks",
            "--answers",
            "--report",
            "--heat-map",
            "--fail-under",
            "--config",
            "--verbose");

    @Mixin
    final SamplingOptions sampling = new SamplingOptions();

    @Mixin
    final EvalOptions eval = new EvalOptions();

    /** The question set, read before the model runs. */
    private List<Question> questions;
    /** The run of {@code --compare}; null without it. */
    private Map<String, Generation> compared;

    @Override
    void checkOwnOptions() {
        sampling.check();
        eval.check();
        if (eval.answers != null) {
            requireNoModelOptions();
        }
        if (input.passThrough.stream().anyMatch(CORRECT::equalsIgnoreCase)) {
            throw new UsageException("the output has a column '" + CORRECT + "' of its own", "--pass-through");
        }
    }

    private void requireNoModelOptions() {
        for (OptionSpec option : spec.commandLine().getParseResult().matchedOptions()) {
            if (!WITHOUT_MODEL.contains(option.longestName())) {
                throw new UsageException(
                        "--answers runs no model, so that this option has no meaning", option.longestName());
            }
        }
    }

    @Override
    int start() throws IOException {
        return eval.answers == null ? super.start() : inSession(this::scoreAnswers);
    }

    private int scoreAnswers(SparkSession spark) throws IOException {
        checkOwnColumns(input.open(spark, input.paths(spark)));
        Map<String, Generation> answers = Generations.read(spark, eval.answers, "--answers", questions);
        return evaluate(answers, eval.answers, Map.of("answers", eval.answers));
    }

    @Override
    void checkOwnColumns(Dataset<Row> rows) {
        String idColumn = input.idColumn == null ? InputOptions.DEFAULT_ID_COLUMN : input.idColumn;
        questions = QuestionSet.read(rows, idColumn, eval.tasks);
        if (eval.heatMap != null && questions.stream().allMatch(question -> question.depth() == null)) {
            throw new UsageException("no question has a depth", "--heat-map");
        }
        if (eval.compare != null) {
            compared = Generations.read(rows.sparkSession(), eval.compare, "--compare", questions);
        }
    }

    @Override
    int extraTokens() {
        return sampling.maxNewTokens;
    }

    @Override
    String promptText() {
        return prompt.prompt == null ? "{" + input.textColumn + "}\n\n{question}" : prompt.text();
    }

    @Override
    Dataset<Row> transform(Dataset<Row> documents, Setup setup, RunProgress progress) {
        List<String> passThrough = new ArrayList<>(List.of(QuestionSet.COLUMNS.fieldNames()));
        passThrough.addAll(input.passThrough);
        NosaGenerate.Builder builder = configure(
                        NosaGenerate.builder(setup.engine().model().toString()), setup, progress)
                .passThrough(passThrough.toArray(String[]::new));
        Dataset<Row> results = sampling.apply(builder).build().transform(QuestionSet.typed(documents));

        UDF1<Integer, Integer> contextOf = Question::contextOf;
        Column madeContext = udf(contextOf, DataTypes.IntegerType).apply(col("prompt_tokens"));
        UDF2<String, String, Boolean> isRight = Question::isRight;
        Column right = udf(isRight, DataTypes.BooleanType).apply(col("generation"), col("answer"));
        return results.withColumn("context", coalesce(col("context"), madeContext))
                .withColumn(CORRECT, col("status").notEqual(ResultRow.ERROR).and(right));
    }

    @Override
    int report(Dataset<Row> written, RunReport totals, String page, ModelConfig config) throws IOException {
        int code = printTotals(totals, page, config);
        String mode = EngineSettings.of(model.engineConfig(), config, false)
                .layout()
                .mode()
                .configName();
        String name = model.model.toAbsolutePath().normalize().getFileName() + ", mode " + mode;
        Map<String, String> run = Map.of("model", model.model.toString(), "mode", mode);
        return Math.max(code, evaluate(Generations.of(written), name, run));
    }

    /** Prints and writes what came out, and returns the exit code. */
    private int evaluate(Map<String, Generation> generations, String name, Map<String, String> run) throws IOException {
        Evaluation evaluation = Evaluation.of(questions, generations);
        Comparison comparison = compared == null ? null : Comparison.of(evaluation, eval.compare, compared);
        ShareGrid byDepth = evaluation.byDepth();
        EvalPrinter printer = new EvalPrinter(spec.commandLine().getOut());
        printer.answers(evaluation.answers(), show);
        printer.grid("exact match, %", evaluation.byTask());
        if (byDepth != null) {
            printer.grid("depth", byDepth);
        }
        if (comparison != null) {
            printer.comparison(comparison, show);
        }
        printer.total(evaluation.total());
        if (eval.report != null) {
            new EvalReport(command(), run, evaluation, comparison).write(eval.report);
        }
        if (eval.heatMap != null) {
            HeatMap.write(byDepth, "exact match, %: " + name, eval.heatMap);
        }
        return verdict(evaluation.total(), comparison);
    }

    private int verdict(Share total, Comparison comparison) {
        int code = 0;
        if (comparison != null && !comparison.differences().isEmpty()) {
            code = failed(
                    "%d of %d generations differ from those of %s, such as '%s' (--compare)",
                    comparison.differences().size(),
                    total.total(),
                    eval.compare,
                    comparison.differences().get(0).id());
        }
        if (total.value() < eval.failUnder) {
            code = failed(
                    "%d of %d answers are right, less than the share of %s (--fail-under)",
                    total.right(), total.total(), eval.failUnder);
        }
        return code;
    }

    /** What was typed; an argument with characters that a shell takes for its own is quoted. */
    private String command() {
        StringBuilder command = new StringBuilder("nosa");
        for (String argument : spec.commandLine().getParseResult().originalArgs()) {
            boolean plain = argument.matches("[\\w@%+=:,./-]+");
            command.append(' ').append(plain ? argument : "'" + argument.replace("'", "'\\''") + "'");
        }
        return command.toString();
    }
}
