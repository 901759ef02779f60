package dev.nosa.job;

import dev.nosa.model.ModelConfig;
import dev.nosa.spark.NosaGenerate;
import dev.nosa.spark.RunProgress;
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

    @Override
    void checkOwnOptions() {
        sampling.check();
    }

    @Override
    void checkOwnColumns(Dataset<Row> rows) {
        // A generation reads the template's columns alone.
    }

    @Override
    int extraTokens() {
        return sampling.maxNewTokens;
    }

    @Override
    Dataset<Row> transform(Dataset<Row> documents, Setup setup, RunProgress progress) {
        NosaGenerate.Builder builder =
                configure(NosaGenerate.builder(setup.engine().model().toString()), setup, progress);
        return sampling.apply(builder).build().transform(documents);
    }

    @Override
    int report(Dataset<Row> written, RunReport report, ModelConfig config) {
        printFirst(written, "generation");
        return printTotals(report, config);
    }
}
