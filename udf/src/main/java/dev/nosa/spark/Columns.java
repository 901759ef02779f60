package dev.nosa.spark;

import dev.nosa.arrow.ResultSchema;
import dev.nosa.checkpoint.SimilarNames;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.arrow.vector.types.pojo.Schema;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** Checks the input's columns before a job starts, and makes the output's schema. */
final class Columns {
    private Columns() {}

    /** The name of the prompt that a row answers, where prompts have names. */
    static final String PROMPT = "prompt";

    /**
     * Output columns: the result's, with the prompt's name and the pass-through columns behind the id. Where prompts are
     * columns, each is a struct of the result's columns.
     */
    static StructType output(TransformOptions options, StructType input) {
        check(options, input);
        StructType result = ArrowRows.sparkSchema(options.resultSchema());
        StructType output = new StructType().add(result.apply(ResultSchema.ID));
        StructType answer = made(options.resultSchema());
        boolean promptColumns = options.generates() && options.generation().promptColumns();
        if (options.prompts().areNamed() && !promptColumns) {
            output = output.add(PROMPT, DataTypes.StringType);
        } else if (promptColumns) {
            StructType fields = answer;
            answer = new StructType();
            for (Prompts.Named prompt : options.prompts().all()) {
                answer = answer.add(prompt.name(), fields);
            }
        }
        Set<String> taken = new TreeSet<>(String.CASE_INSENSITIVE_ORDER); // as Spark compares names
        taken.addAll(Arrays.asList(output.fieldNames()));
        for (String name : answer.fieldNames()) {
            if (!taken.add(name)) {
                throw new IllegalArgumentException(
                        "prompts: the output has a column '" + name + "' of its own; take another name");
            }
        }
        for (String column : options.passThrough()) {
            if (!taken.add(column)) {
                throw new IllegalArgumentException("pass-through = " + column
                        + ": the output has a column of that name; rename the input's first, or leave it out");
            }
            output = output.add(input.apply(column));
        }
        for (StructField field : answer.fields()) {
            output = output.add(field);
        }
        return output;
    }

    /** Columns of results, without the id. */
    static StructType made(Schema results) {
        StructField[] made = Arrays.stream(ArrowRows.sparkSchema(results).fields())
                .filter(field -> !field.name().equals(ResultSchema.ID))
                .toArray(StructField[]::new);
        return new StructType(made);
    }

    /** The input's columns that are read, each once. */
    static Set<String> needed(TransformOptions options) {
        Set<String> names = new LinkedHashSet<>();
        names.add(options.idColumn());
        names.add(options.textColumn());
        names.addAll(options.prompts().columns());
        names.addAll(options.passThrough());
        if (options.errorColumn() != null) {
            names.add(options.errorColumn());
        }
        if (!options.generates() && options.scoring().column() != null) {
            names.add(options.scoring().column());
        }
        return names;
    }

    private static void check(TransformOptions options, StructType input) {
        requireText("id-column", options.idColumn(), input);
        requireString("text-column", options.textColumn(), input);
        if (options.errorColumn() != null) {
            requireString("error-column", options.errorColumn(), input);
        }
        for (Prompts.Named prompt : options.prompts().all()) {
            prompt.template().columns().forEach(column -> requireText(prompt.where(), column, input));
            if (prompt.template().references(options.textColumn()) == 0) {
                throw new IllegalArgumentException(
                        prompt.where() + ": must refer to the text column, {" + options.textColumn() + "}");
            }
        }
        options.passThrough().forEach(column -> require("pass-through", column, input));
        if (!options.generates() && options.scoring().column() != null) {
            String column = options.scoring().column();
            DataType type = require("continuations-column", column, input);
            if (!(type instanceof ArrayType array) || !array.elementType().equals(DataTypes.StringType)) {
                throw new IllegalArgumentException(
                        "continuations-column = " + column + ": must be array<string>, is " + type.simpleString());
            }
        }
    }

    private static void requireString(String option, String column, StructType input) {
        DataType type = require(option, column, input);
        if (!(type instanceof StringType)) {
            throw new IllegalArgumentException(
                    option + ": column '" + column + "' is " + type.simpleString() + "; it must be a string");
        }
    }

    private static void requireText(String option, String column, StructType input) {
        DataType type = require(option, column, input);
        if (type instanceof ArrayType
                || type instanceof MapType
                || type instanceof StructType
                || type.equals(DataTypes.BinaryType)) {
            throw new IllegalArgumentException(option + ": column '" + column + "' is " + type.simpleString()
                    + "; it must be a string or convert to one");
        }
    }

    private static DataType require(String option, String column, StructType input) {
        List<String> names = Arrays.asList(input.fieldNames());
        if (!names.contains(column)) {
            throw new IllegalArgumentException(option + ": there is no column '" + column + "'; the nearest is "
                    + String.join(", ", SimilarNames.of(column, names, 1)) + ", the columns are "
                    + String.join(", ", names));
        }
        return input.apply(column).dataType();
    }
}
