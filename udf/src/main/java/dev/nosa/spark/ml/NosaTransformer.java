package dev.nosa.spark.ml;

import dev.nosa.arrow.ResultSchema;
import dev.nosa.checkpoint.SimilarNames;
import dev.nosa.spark.NosaConf;
import dev.nosa.spark.functions.NosaFunctions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.apache.spark.ml.Transformer;
import org.apache.spark.ml.param.BooleanParam;
import org.apache.spark.ml.param.Param;
import org.apache.spark.ml.param.ParamMap;
import org.apache.spark.ml.util.DefaultParamsWritable;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructType;

/**
 * A SQL function as a stage of a pipeline: the input's columns and behind them the result, its status and its error. Params
 * that are not set are left to the session's {@code spark.nosa.*}, as are all of the engine: they belong to the cluster, and
 * not to a saved pipeline.
 *
 * @param <T> the stage itself
 */
public abstract class NosaTransformer<T extends NosaTransformer<T>> extends Transformer
        implements DefaultParamsWritable {
    private static final String RESULT = "nosa_result";

    private final String uid;
    private final Param<String> model;
    private final Param<String> inputCol;
    private final Param<String> outputCol;
    private final Param<String> statusCol;
    private final Param<String> errorCol;
    private final Param<String> prompt;
    private final Param<String> system;
    private final BooleanParam useChatTemplate;
    private final Param<String> onTooLong;

    NosaTransformer(String uid, String output) {
        this.uid = uid;
        model = param("model", "folder of the checkpoint, the same on every executor");
        inputCol = param("inputCol", "column of the document's text");
        outputCol = param("outputCol", "new column of the result");
        statusCol = param("statusCol", "new column: ok, truncated or error");
        errorCol = param("errorCol", "new column: why, where the status is error");
        prompt = param("prompt", "template, in which {text} stands for the document");
        system = param("system", "system message");
        useChatTemplate = new BooleanParam(this, "useChatTemplate", "whether to use the checkpoint's chat template");
        onTooLong = param("onTooLong", "error, truncate-head, truncate-tail or truncate-middle");
        setDefault(inputCol, "text");
        setDefault(outputCol, output);
        setDefault(statusCol, ResultSchema.STATUS);
        setDefault(errorCol, ResultSchema.ERROR);
    }

    final Param<String> param(String name, String doc) {
        return new Param<>(this, name, doc);
    }

    abstract T self();

    /** The function's name, its arguments after the text, and the field of its result that is the output. */
    abstract Call call();

    /** See {@link #call}. */
    record Call(String function, List<Column> arguments, String field, DataType type) {}

    /** Checks columns beside the input. */
    void checkOthers(StructType schema) {}

    @Override
    public String uid() {
        return uid;
    }

    @Override
    public StructType transformSchema(StructType schema) {
        DataType input = require(inputCol, schema);
        if (!(input instanceof StringType)) {
            throw new IllegalArgumentException("inputCol: column '" + getOrDefault(inputCol) + "' is "
                    + input.simpleString() + "; it must be a string");
        }
        checkOthers(schema);
        return add(
                add(add(schema, outputCol, call().type()), statusCol, DataTypes.StringType),
                errorCol,
                DataTypes.StringType);
    }

    final DataType require(Param<String> param, StructType schema) {
        String column = getOrDefault(param);
        List<String> names = Arrays.asList(schema.fieldNames());
        if (!names.contains(column)) {
            throw new IllegalArgumentException(param.name() + ": there is no column '" + column + "'; the nearest is "
                    + String.join("", SimilarNames.of(column, names, 1)) + ", the columns are "
                    + String.join(", ", names));
        }
        return schema.apply(column).dataType();
    }

    private StructType add(StructType schema, Param<String> param, DataType type) {
        String column = getOrDefault(param);
        if (Arrays.stream(schema.fieldNames()).anyMatch(column::equalsIgnoreCase)) {
            throw new IllegalArgumentException(
                    param.name() + ": there is a column '" + column + "' already; give the new one another name");
        }
        return schema.add(column, type);
    }

    @Override
    public Dataset<Row> transform(Dataset<?> dataset) {
        transformSchema(dataset.schema());
        NosaFunctions.ensure(dataset.sparkSession());
        Call call = call();
        List<Column> arguments = new ArrayList<>();
        arguments.add(column(getOrDefault(inputCol)));
        arguments.addAll(call.arguments());
        List<Column> options = options();
        if (!options.isEmpty()) {
            arguments.add(functions.map(options.toArray(new Column[0])));
        }
        Column result = functions.call_function(call.function(), arguments.toArray(new Column[0]));
        return dataset.withColumn(RESULT, result)
                .withColumn(getOrDefault(outputCol), functions.col(RESULT).getField(call.field()))
                .withColumn(getOrDefault(statusCol), functions.col(RESULT).getField(ResultSchema.STATUS))
                .withColumn(getOrDefault(errorCol), functions.col(RESULT).getField(ResultSchema.ERROR))
                .drop(RESULT);
    }

    /** Names and values, in turn, of the params that are set and are options of the function. */
    private List<Column> options() {
        Set<String> known = NosaConf.names(true);
        List<Column> options = new ArrayList<>();
        for (Param<?> param : params()) {
            if (known.contains(param.name()) && isSet(param)) {
                options.add(functions.lit(param.name()));
                options.add(functions.lit(String.valueOf(getOrDefault(param))));
            }
        }
        return options;
    }

    static Column column(String name) {
        return functions.col('`' + name.replace("`", "``") + '`');
    }

    @Override
    public T copy(ParamMap extra) {
        return defaultCopy(extra);
    }

    public Param<String> model() {
        return model;
    }

    public T setModel(String value) {
        set(model, value);
        return self();
    }

    public Param<String> inputCol() {
        return inputCol;
    }

    public T setInputCol(String value) {
        set(inputCol, value);
        return self();
    }

    public Param<String> outputCol() {
        return outputCol;
    }

    public T setOutputCol(String value) {
        set(outputCol, value);
        return self();
    }

    public Param<String> statusCol() {
        return statusCol;
    }

    public T setStatusCol(String value) {
        set(statusCol, value);
        return self();
    }

    public Param<String> errorCol() {
        return errorCol;
    }

    public T setErrorCol(String value) {
        set(errorCol, value);
        return self();
    }

    public Param<String> prompt() {
        return prompt;
    }

    public T setPrompt(String value) {
        set(prompt, value);
        return self();
    }

    public Param<String> system() {
        return system;
    }

    public T setSystem(String value) {
        set(system, value);
        return self();
    }

    public BooleanParam useChatTemplate() {
        return useChatTemplate;
    }

    public T setUseChatTemplate(boolean value) {
        set(useChatTemplate, value);
        return self();
    }

    public Param<String> onTooLong() {
        return onTooLong;
    }

    public T setOnTooLong(String value) {
        set(onTooLong, value);
        return self();
    }
}
