package dev.nosa.spark;

import dev.nosa.arrow.ResultSchema;
import dev.nosa.checkpoint.SimilarNames;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** Checks the input's columns before a job starts, and makes the output's schema. */
final class Columns {
    private Columns() {}

    /** Output columns: the result's, with the pass-through columns behind the id. */
    static StructType output(TransformOptions options, StructType input) {
        check(options, input);
        StructType result = ArrowRows.sparkSchema(options.resultSchema());
        StructType output = new StructType().add(result.apply(ResultSchema.ID));
        for (String column : options.passThrough()) {
            if (Arrays.asList(result.fieldNames()).contains(column)) {
                throw new IllegalArgumentException("pass-through = " + column
                        + ": the output has a column of that name; rename the input's first");
            }
            output = output.add(input.apply(column));
        }
        for (StructField field : result.fields()) {
            output = field.name().equals(ResultSchema.ID) ? output : output.add(field);
        }
        return output;
    }

    private static void check(TransformOptions options, StructType input) {
        requireText("id-column", options.idColumn(), input);
        requireText("text-column", options.textColumn(), input);
        if (options.errorColumn() != null) {
            requireText("error-column", options.errorColumn(), input);
        }
        options.template().columns().forEach(column -> requireText("prompt", column, input));
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
