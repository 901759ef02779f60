package dev.nosa.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat_ws;

import dev.nosa.model.ModelConfig;
import dev.nosa.spark.NosaGenerate;
import dev.nosa.spark.RunProgress;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code nosa generate}: text for every document. */
@Command(
        name = "generate",
        description = "Generates text for every document and writes it as Parquet.",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        sortOptions = false,
        abbreviateSynopsis = true)
final class GenerateJob extends DocumentJob {
    @Mixin
    final SamplingOptions sampling = new SamplingOptions();

    @Mixin
    final PromptsOptions prompts = new PromptsOptions();

    @Override
    void checkOwnOptions() {
        sampling.check();
        prompts.check(prompt.prompt);
    }

    @Override
    void checkOwnColumns(Dataset<Row> rows) {
        prompts.checkColumns(rows);
    }

    @Override
    String promptText() {
        return prompts.areGiven() ? null : prompt.text();
    }

    @Override
    List<String> equalBy(String template) {
        if (!prompts.dedupe) {
            return List.of();
        }
        return template == null
                ? prompts.columns()
                : List.copyOf(PromptOptions.parse(template).columns());
    }

    @Override
    Map<String, String> promptSettings(String template) {
        return prompts.areGiven() ? Map.of("prompts", prompts.settings()) : super.promptSettings(template);
    }

    @Override
    List<String> answerColumns() {
        return prompts.asColumns() ? prompts.names() : List.of();
    }

    @Override
    int answersPerDocument() {
        return Math.max(1, prompts.names().size());
    }

    @Override
    Dataset<Row> answers(Dataset<Row> written) {
        return prompts.asColumns() ? PromptColumns.asRows(written, prompts.names()) : written;
    }

    @Override
    int extraTokens() {
        return sampling.maxNewTokens;
    }

    @Override
    Dataset<Row> transform(Dataset<Row> documents, Setup setup, RunProgress progress) {
        NosaGenerate.Builder builder =
                configure(NosaGenerate.builder(setup.engine().model().toString()), setup, progress);
        return prompts.apply(sampling.apply(builder)).build().transform(documents);
    }

    @Override
    int report(Dataset<Row> written, RunReport totals, String page, ModelConfig config) {
        printFirst(
                prompts.areGiven() ? written.withColumn("id", concat_ws(": ", col("id"), col("prompt"))) : written,
                "generation");
        return printTotals(totals, page, config);
    }
}
