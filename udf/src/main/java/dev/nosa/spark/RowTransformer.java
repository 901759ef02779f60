package dev.nosa.spark;

import dev.nosa.tokenizer.Tokenizer;
import java.util.Iterator;
import java.util.Optional;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.TaskCompletionListener;

/** The transformation of a dataset, and what runs in each of its tasks: the partition's rows through the engine. */
final class RowTransformer implements MapPartitionsFunction<Row, Row> {
    private static final long serialVersionUID = 1L;

    private final TransformOptions options;
    private final ModelStarter starter;
    private final RunProgress progress;

    /** {@code progress} may be null. */
    RowTransformer(TransformOptions options, ModelStarter starter, RunProgress progress) {
        this.options = options;
        this.starter = starter;
        this.progress = progress;
    }

    StructType schema(StructType input) {
        return Columns.output(options, input);
    }

    Dataset<Row> transform(Dataset<Row> input) {
        Optional<StageResources> stage = ClusterCheck.check(input.sparkSession().sparkContext(), options.engine());
        StructType output = schema(input.schema());
        Column[] needed = Columns.needed(options).stream()
                .map(name -> functions.col('`' + name.replace("`", "``") + '`'))
                .toArray(Column[]::new);
        Dataset<Row> rows = input.select(needed);
        return stage.isPresent()
                ? stage.get().mapPartitions(rows, this::call, output)
                : rows.mapPartitions(this, Encoders.row(output));
    }

    @Override
    public Iterator<Row> call(Iterator<Row> rows) throws InterruptedException {
        if (!rows.hasNext()) {
            return rows; // an empty partition needs no model
        }
        TaskContext task = TaskContext.get();
        HostedModel model = ExecutorEngine.get(options.engine(), starter, task::isInterrupted);
        int maxTokens = maxTokens(model.engine().model().maxPositions());
        Tokenizer tokenizer = model.engine().tokenizer();
        PromptBuilder prompts = new PromptBuilder(options, tokenizer, model.chat(), maxTokens);
        RowRequests requests = new RowRequests(options, prompts, tokenizer);
        PartitionGenerator generator =
                new PartitionGenerator(options, rows, model, requests, progress, task::isInterrupted);
        TaskCompletionListener close = context -> generator.close();
        task.addTaskCompletionListener(close);
        return generator;
    }

    private int maxTokens(int maxPositions) {
        int maxContext = options.engine().maxContext();
        int maxTokens = maxContext > 0 ? Math.min(maxPositions, maxContext) : maxPositions;
        if (options.generates() && options.generation().maxNewTokens() >= maxTokens) {
            throw new IllegalArgumentException(
                    "max-new-tokens = " + options.generation().maxNewTokens() + ": must be below " + maxTokens
                            + ", the most that the model takes as prompt and output together");
        }
        return maxTokens;
    }
}
