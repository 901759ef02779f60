package dev.nosa.job;

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
        return configure(NosaGenerate.builder(setup.engine().model().toString()), setup, progress)
                .maxNewTokens(sampling.maxNewTokens)
                .temperature(sampling.temperature)
                .topK(sampling.topK)
                .topP(sampling.topP)
                .repetitionPenalty(sampling.repetitionPenalty)
                .seed(sampling.seed)
                .stop(sampling.stop.toArray(String[]::new))
                .stopTokens(sampling.stopTokenIds.stream()
                        .mapToInt(Integer::intValue)
                        .toArray())
                .build()
                .transform(documents);
    }

    @Override
    String resultColumn() {
        return "generation";
    }
}
