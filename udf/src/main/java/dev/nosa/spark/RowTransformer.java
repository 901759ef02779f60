package dev.nosa.spark;

import dev.nosa.engine.EngineConfig;
import dev.nosa.engine.InferenceEngine;
import dev.nosa.tokenizer.ChatTemplate;
import java.util.Iterator;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.TaskCompletionListener;

/** What runs in each task: the partition's rows through this executor's engine. */
final class RowTransformer implements MapPartitionsFunction<Row, Row> {
    private static final long serialVersionUID = 1L;

    private final TransformOptions options;
    private final RunProgress progress;

    private RowTransformer(TransformOptions options, RunProgress progress) {
        this.options = options;
        this.progress = progress;
    }

    static Dataset<Row> transform(Dataset<Row> input, TransformOptions options, RunProgress progress) {
        StructType output = Columns.output(options, input.schema());
        return input.mapPartitions(new RowTransformer(options, progress), Encoders.row(output));
    }

    @Override
    public Iterator<Row> call(Iterator<Row> rows) {
        if (!rows.hasNext()) {
            return rows; // an empty partition needs no model
        }
        EngineConfig config = options.engine().toConfig();
        InferenceEngine engine = ExecutorEngine.get(config);
        int longest = engine.model().maxPositions();
        int maxTokens = config.maxContext() > 0 ? Math.min(longest, config.maxContext()) : longest;
        PromptBuilder prompts = new PromptBuilder(options, engine.tokenizer(), ChatTemplate.load(config.model()));
        RowRequests requests = new RowRequests(options, prompts, engine.tokenizer(), maxTokens);
        TaskContext task = TaskContext.get();
        PartitionGenerator generator = new PartitionGenerator(options, rows, engine, requests, progress, task);
        if (task != null) {
            TaskCompletionListener close = context -> generator.close();
            task.addTaskCompletionListener(close);
        }
        return generator;
    }
}
