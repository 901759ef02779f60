package dev.nosa.job;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.length;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.substring;
import static org.apache.spark.sql.functions.sum;

import dev.nosa.spark.ExecutorCount;
import dev.nosa.tokenizer.HuggingFaceTokenizer;
import dev.nosa.tokenizer.Tokenizer;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;

/** Counts the documents, in tokens as well as their characters tell, and cuts them into waves. Reads every row once. */
final class WavePlanner {
    /** Work of an executor in about five minutes, if it is as fast as one is at least. */
    private static final long CPU_TOKENS = 300_000;

    private static final long GPU_TOKENS = 6_000_000;
    private static final int SAMPLED_DOCUMENTS = 16;
    private static final int SAMPLED_CHARACTERS = 4000;

    private final WaveOptions options;
    private final String textColumn;
    private final Path model;
    private final String backend;

    WavePlanner(WaveOptions options, String textColumn, Path model, String backend) {
        this.options = options;
        this.textColumn = textColumn;
        this.model = model;
        this.backend = backend;
    }

    /** Plans waves for all of {@code rows}, which have {@link DocumentIds#COLUMN}; the first has number {@code first}. */
    WavePlan plan(Dataset<Row> rows, int first) {
        Column text = col(DocumentIds.quoted(textColumn)).cast("string");
        double tokensPerCharacter = tokensPerCharacter(rows, text);
        List<WavePlan.Bucket> buckets = rows
                .groupBy(Wave.bucket().as("bucket"))
                .agg(count(lit(1)), sum(coalesce(length(text), lit(0))))
                .collectAsList()
                .stream()
                .map(row -> new WavePlan.Bucket(
                        row.getInt(0), row.getLong(1), Math.round(row.getLong(2) * tokensPerCharacter)))
                .sorted(Comparator.comparingInt(WavePlan.Bucket::number))
                .toList();
        return options.docs > 0
                ? WavePlan.cut(first, buckets, options.docs, false)
                : WavePlan.cut(first, buckets, tokens(rows.sparkSession().sparkContext()), true);
    }

    private double tokensPerCharacter(Dataset<Row> rows, Column text) {
        List<String> sample = rows.filter(text.isNotNull())
                .select(substring(text, 1, SAMPLED_CHARACTERS))
                .as(Encoders.STRING())
                .takeAsList(SAMPLED_DOCUMENTS);
        long characters = sample.stream().mapToLong(String::length).sum();
        if (characters == 0) {
            return 1;
        }
        try (Tokenizer tokenizer = HuggingFaceTokenizer.load(model)) {
            long tokens = sample.stream()
                    .mapToLong(each -> tokenizer.encode(each, false).length)
                    .sum();
            return (double) tokens / characters;
        }
    }

    private long tokens(SparkContext context) {
        if (options.tokens > 0) {
            return options.tokens;
        }
        boolean gpu = !backend.equals("cpu")
                && (context.getConf().contains("spark.executor.resource.gpu.amount")
                        || context.getConf().contains("spark.driver.resource.gpu.amount"));
        return ExecutorCount.of(context) * (gpu ? GPU_TOKENS : CPU_TOKENS);
    }
}
