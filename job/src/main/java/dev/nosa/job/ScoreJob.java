package dev.nosa.job;

import dev.nosa.model.ModelConfig;
import dev.nosa.spark.NosaScore;
import dev.nosa.spark.RunProgress;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code nosa score}: log-probabilities of given continuations after every document. */
@Command(
        name = "score",
        description = "Computes the log-probability of continuations after every document's prompt.",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        sortOptions = false,
        abbreviateSynopsis = true)
final class ScoreJob extends DocumentJob {
    @Option(
            names = "--continuations",
            paramLabel = "TEXT",
            description = "Text to score after every prompt; repeatable (this or --continuations-column is required)")
    List<String> continuations = new ArrayList<>();

    @Option(
            names = "--continuations-column",
            paramLabel = "NAME",
            description = "Column of arrays of texts to score after the row's prompt")
    String continuationsColumn;

    @Override
    void checkOwnOptions() {
        if (continuations.isEmpty() == (continuationsColumn == null)) {
            throw new UsageException(
                    "either texts to score or a column of them is required",
                    "--continuations or --continuations-column");
        }
        if (continuations.contains("")) {
            throw new UsageException("an empty text has no log-probability", "--continuations");
        }
    }

    @Override
    void checkOwnColumns(Dataset<Row> rows) {
        if (continuationsColumn != null) {
            InputReader.requireColumns(rows, List.of(continuationsColumn), "--continuations-column");
        }
    }

    @Override
    int extraTokens() {
        return 1;
    }

    @Override
    Dataset<Row> transform(Dataset<Row> documents, Setup setup, RunProgress progress) {
        NosaScore.Builder builder =
                configure(NosaScore.builder(setup.engine().model().toString()), setup, progress);
        return (continuationsColumn == null
                        ? builder.continuations(continuations.toArray(String[]::new))
                        : builder.continuationsColumn(continuationsColumn))
                .build()
                .transform(documents);
    }

    @Override
    int report(Dataset<Row> written, RunReport totals, String page, ModelConfig config) {
        printFirst(written, "scores");
        return printTotals(totals, page, config);
    }
}
