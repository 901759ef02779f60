package dev.nosa.spark.ml;

import dev.nosa.arrow.ResultSchema;
import dev.nosa.spark.NosaScore;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.ml.param.Param;
import org.apache.spark.ml.param.StringArrayParam;
import org.apache.spark.ml.util.DefaultParamsReader;
import org.apache.spark.ml.util.Identifiable;
import org.apache.spark.ml.util.MLReader;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructType;

/** {@code nosa_score} as a stage of a pipeline: the same continuations for every row, or a column of each row's own. */
public final class NosaScorer extends NosaTransformer<NosaScorer> {
    private static final long serialVersionUID = 1L;

    private final StringArrayParam continuations =
            new StringArrayParam(this, "continuations", "texts to score after every prompt");
    private final Param<String> continuationsCol =
            param("continuationsCol", "column of arrays of texts to score after the row's own prompt");

    public NosaScorer() {
        this(Identifiable.randomUID("nosaScorer"));
    }

    /** With a saved stage's id. */
    public NosaScorer(String uid) {
        super(uid, ResultSchema.SCORES);
    }

    /** Loads what {@code write} saved. */
    public static MLReader<NosaScorer> read() {
        return new DefaultParamsReader<>();
    }

    public static NosaScorer load(String path) {
        return read().load(path);
    }

    @Override
    NosaScorer self() {
        return this;
    }

    @Override
    Call call() {
        Column texts = isSet(continuationsCol)
                ? column(getOrDefault(continuationsCol))
                : functions.array(Arrays.stream(getOrDefault(continuations))
                        .map(functions::lit)
                        .toArray(Column[]::new));
        DataType scores = NosaScore.resultType().apply(ResultSchema.SCORES).dataType();
        return new Call("nosa_score", List.of(texts), ResultSchema.SCORES, scores);
    }

    @Override
    void checkOthers(StructType schema) {
        if (isSet(continuations) == isSet(continuationsCol)) {
            throw new IllegalArgumentException(
                    "continuations: set either these or continuationsCol, not both or neither");
        }
        if (isSet(continuations)) {
            return;
        }
        DataType type = require(continuationsCol, schema);
        if (!(type instanceof ArrayType array) || !(array.elementType() instanceof StringType)) {
            throw new IllegalArgumentException("continuationsCol: column '" + getOrDefault(continuationsCol) + "' is "
                    + type.simpleString() + "; it must be an array of strings");
        }
    }

    public StringArrayParam continuations() {
        return continuations;
    }

    public NosaScorer setContinuations(String... values) {
        set(continuations, values);
        return this;
    }

    public Param<String> continuationsCol() {
        return continuationsCol;
    }

    public NosaScorer setContinuationsCol(String value) {
        set(continuationsCol, value);
        return this;
    }
}
