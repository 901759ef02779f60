package dev.nosa.spark.functions;

import dev.nosa.arrow.ResultSchema;
import java.util.Arrays;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericRowWithSchema;
import org.apache.spark.sql.catalyst.expressions.XXH64;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;
import scala.collection.immutable.Seq;

/**
 * A row of a query on its way through the engine.
 *
 * @param row the query's columns
 * @param isNull whether an argument is null: then the result is, and the engine never sees the row
 */
record CallRow(InternalRow row, boolean isNull) {
    static final String ID = "id";
    static final String TEXT = "text";
    static final String CONTINUATIONS = "continuations";
    static final String UNREAD = "unread";
    static final String SOURCE = "source";

    /** What the engine's side reads. The source passes through as the object that it is. */
    static final StructType SCHEMA = new StructType()
            .add(ID, DataTypes.StringType)
            .add(TEXT, DataTypes.StringType)
            .add(CONTINUATIONS, DataTypes.createArrayType(DataTypes.StringType))
            .add(UNREAD, DataTypes.StringType)
            .add(SOURCE, DataTypes.BinaryType);

    /** Of the columns that are made for a row, those that a function returns: timings are never the same twice. */
    static StructType result(StructType made) {
        StructField[] fields = Arrays.stream(made.fields())
                .filter(field -> !field.name().equals(ResultSchema.USAGE))
                .toArray(StructField[]::new);
        return new StructType(fields);
    }

    /** As the engine's side takes it. The id is a hash of the text, so that seeds come from the text alone. */
    static Row of(InternalRow row, InternalRow arguments) {
        boolean isNull = arguments.anyNull();
        UTF8String text = isNull ? UTF8String.EMPTY_UTF8 : arguments.getUTF8String(0);
        Object[] values = {
            Long.toHexString(XXH64.hashUTF8String(text, 0)),
            text.toString(),
            isNull || arguments.numFields() == 1 ? null : strings(arguments),
            isNull ? "null" : null,
            new CallRow(row, isNull)
        };
        return new GenericRowWithSchema(values, SCHEMA);
    }

    private static Seq<String> strings(InternalRow arguments) {
        Object[] texts = arguments.getArray(1).toObjectArray(DataTypes.StringType);
        return Scala.seqOfNullable(Arrays.stream(texts)
                .map(text -> text == null ? null : text.toString())
                .toArray(String[]::new));
    }
}
