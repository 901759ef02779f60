package dev.nosa.spark;

import dev.nosa.arrow.ResultSchema;
import java.util.List;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.StructType;

/**
 * Log-probabilities of given continuations for every row of a dataset; a row's prompt is prefilled once for all of its
 * continuations.
 */
public final class NosaScore {
    private final RowTransformer transformer;

    private NosaScore(RowTransformer transformer) {
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

    /** One output row for every row of {@code input}, lazily; a row that fails has status {@code error}. */
    public Dataset<Row> transform(Dataset<Row> input) {
        return transformer.transform(input);
    }

    /** What {@link #transform} runs in each task: a partition's rows in, as many out in order of completion. */
    public MapPartitionsFunction<Row, Row> partitionFunction() {
        return transformer;
    }

    /** The columns that are made for a row: those of the output but for the id and what is passed through. */
    public static StructType resultType() {
        return Columns.made(ResultSchema.SCORING_ROWS);
    }

    /** Options, to be changed one by one. */
    public static final class Builder extends NosaBuilder<Builder> {
        private List<String> continuations = List.of();
        private String column;

        private Builder(String model) {
            super(model);
        }

        @Override
        Builder self() {
            return this;
        }

        /** The same continuations for every row. */
        public Builder continuations(String... texts) {
            continuations = List.of(texts);
            return this;
        }

        /** A column of type {@code array<string>} with each row's own. */
        public Builder continuationsColumn(String name) {
            column = name;
            return this;
        }

        /** Checks the values; a wrong one is an {@link IllegalArgumentException} that names the option. */
        public NosaScore build() {
            if (continuations.isEmpty() == (column == null)) {
                throw new IllegalArgumentException(
                        "continuations: give either the texts or the column that holds them, not both or neither");
            }
            if (continuations.contains("")) {
                throw new IllegalArgumentException("continuations: one is empty");
            }
            return new NosaScore(transformer(options(null, new TransformOptions.Scoring(continuations, column))));
        }
    }
}
