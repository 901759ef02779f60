package dev.nosa.spark;

import dev.nosa.arrow.ResultSchema;
import dev.nosa.sample.SamplingParams;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.StructType;

/**
 * Generates text for every row of a dataset: one engine on each executor, one output row for an input row and prompt.
 *
 * <pre>{@code
 * Dataset<Row> answers = NosaGenerate.builder("/models/NOSA-8B")
 *         .prompt("{text}\n\nSummarize the document above in one sentence.")
 *         .maxNewTokens(128)
 *         .build()
 *         .transform(documents);
 * }</pre>
 */
public final class NosaGenerate {
    private final RowTransformer transformer;

    private NosaGenerate(RowTransformer transformer) {
        this.transformer = transformer;
    }

    /** A builder over a checkpoint folder, which every executor must be able to read under this path. */
    public static Builder builder(String model) {
        return new Builder(model);
    }

    /** The output's columns, or an {@link IllegalArgumentException} that names the option and the column. */
    public StructType schema(StructType input) {
        return transformer.schema(input);
    }

    /** One output row for every row of {@code input} and prompt, lazily; a row that fails has status {@code error}. */
    public Dataset<Row> transform(Dataset<Row> input) {
        return transformer.transform(input);
    }

    /** What {@link #transform} runs in each task: a partition's rows in, as many out in order of completion. */
    public MapPartitionsFunction<Row, Row> partitionFunction() {
        return transformer;
    }

    /** The columns that are made for a row: those of the output but for the id and what is passed through. */
    public static StructType resultType() {
        return Columns.made(ResultSchema.GENERATION_ROWS);
    }

    /** Options, to be changed one by one. */
    public static final class Builder extends NosaBuilder<Builder> {
        private int maxNewTokens = 256;
        private float temperature;
        private int topK;
        private float topP = 1f;
        private float repetitionPenalty = 1f;
        private long seed;
        private List<String> stop = List.of();
        private List<Integer> stopTokens = List.of();
        private boolean promptColumns;
        private boolean dedupe;

        private Builder(String model) {
            super(model);
        }

        @Override
        Builder self() {
            return this;
        }

        /**
         * Several prompts for every row, by name, in place of {@code prompt}: what the prompts of a row begin with is
         * computed once, so the instruction belongs behind the document. The output has a column {@code prompt} with the
         * name, and a row for each of them.
         */
        public Builder prompts(Map<String, String> templates) {
            namedPrompts(templates);
            return this;
        }

        /** Whether each named prompt is a column of the row's one output row, a struct of the result's columns. */
        public Builder promptColumns(boolean value) {
            promptColumns = value;
            return this;
        }

        /**
         * Whether prompts that are equal token by token are computed once in each partition: repartition by the columns that
         * the prompts refer to, so that equal rows meet. Random numbers then depend on the seed and the prompt's tokens, and
         * not on the row's id.
         */
        public Builder dedupe(boolean value) {
            dedupe = value;
            return this;
        }

        /** Tokens generated at most; default 256. */
        public Builder maxNewTokens(int value) {
            maxNewTokens = value;
            return this;
        }

        /** 0, the default, is greedy. */
        public Builder temperature(float value) {
            temperature = value;
            return this;
        }

        /** Likeliest tokens to sample from; 0: all. */
        public Builder topK(int value) {
            topK = value;
            return this;
        }

        /** Probability mass to sample from; 1: all. */
        public Builder topP(float value) {
            topP = value;
            return this;
        }

        /** Above 1 makes tokens less likely that occurred already. */
        public Builder repetitionPenalty(float value) {
            repetitionPenalty = value;
            return this;
        }

        /** With the row's id it decides all random numbers of the row. */
        public Builder seed(long value) {
            seed = value;
            return this;
        }

        /** Texts that end a generation. */
        public Builder stop(String... values) {
            stop = List.of(values);
            return this;
        }

        /** Tokens that end a generation, beside the model's own. */
        public Builder stopTokens(int... ids) {
            stopTokens = IntStream.of(ids).boxed().toList();
            return this;
        }

        /** Checks the values; a wrong one is an {@link IllegalArgumentException} that names the option. */
        public NosaGenerate build() {
            if (maxNewTokens < 1) {
                throw new IllegalArgumentException("max-new-tokens = " + maxNewTokens + ": must be 1 or more");
            }
            if (stop.contains("")) {
                throw new IllegalArgumentException("stop: an empty stop string would end every generation");
            }
            if (promptColumns && !hasNamedPrompts()) {
                throw new IllegalArgumentException("prompt-columns = true: only named prompts can be columns");
            }
            SamplingParams sampling = new SamplingParams(temperature, topK, topP, repetitionPenalty, seed);
            return new NosaGenerate(transformer(options(
                    new TransformOptions.Generation(maxNewTokens, sampling, stop, stopTokens, promptColumns, dedupe),
                    null)));
        }
    }
}
