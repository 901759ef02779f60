package dev.nosa.spark;

import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.Schema;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.DoubleType;
import org.apache.spark.sql.types.FloatType;
import org.apache.spark.sql.types.IntegerType;
import org.apache.spark.sql.types.LongType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.vectorized.ArrowColumnVector;
import org.apache.spark.sql.vectorized.ColumnVector;

/** An Arrow record batch as Spark sees it: through {@link ArrowColumnVector}, a row at a time. */
final class ArrowRows {
    private final StructType schema;
    private final ColumnVector[] columns;

    ArrowRows(VectorSchemaRoot batch) {
        schema = sparkSchema(batch.getSchema());
        columns = batch.getFieldVectors().stream().map(ArrowColumnVector::new).toArray(ColumnVector[]::new);
    }

    /** The values of row {@code row}, in the order of the schema, as Spark's external types. */
    Object[] values(int row) {
        Object[] values = new Object[columns.length];
        for (int i = 0; i < values.length; i++) {
            values[i] = value(columns[i], schema.fields()[i].dataType(), row);
        }
        return values;
    }

    private static Object value(ColumnVector column, DataType type, int row) {
        if (column.isNullAt(row)) {
            return null;
        } else if (type instanceof StringType) {
            return column.getUTF8String(row).toString();
        } else if (type instanceof IntegerType) {
            return column.getInt(row);
        } else if (type instanceof LongType) {
            return column.getLong(row);
        } else if (type instanceof DoubleType) {
            return column.getDouble(row);
        } else if (type instanceof FloatType) {
            return column.getFloat(row);
        } else if (type instanceof StructType struct) {
            Object[] fields = new Object[struct.size()];
            for (int i = 0; i < fields.length; i++) {
                fields[i] = value(column.getChild(i), struct.fields()[i].dataType(), row);
            }
            return RowFactory.create(fields);
        }
        return list(column, (ArrayType) type, row);
    }

    /** An array, and not a List: of the two Spark's row encoder takes arrays alone. */
    private static Object[] list(ColumnVector column, ArrayType type, int row) {
        ListVector vector = (ListVector) ((ArrowColumnVector) column).getValueVector();
        ColumnVector elements = new ArrowColumnVector(vector.getDataVector());
        List<Object> values = new ArrayList<>();
        for (int i = vector.getElementStartIndex(row); i < vector.getElementEndIndex(row); i++) {
            values.add(value(elements, type.elementType(), i));
        }
        return values.toArray();
    }

    static StructType sparkSchema(Schema schema) {
        return struct(schema.getFields());
    }

    private static StructType struct(List<Field> fields) {
        StructField[] converted = fields.stream()
                .map(field -> DataTypes.createStructField(field.getName(), type(field), field.isNullable()))
                .toArray(StructField[]::new);
        return DataTypes.createStructType(converted);
    }

    private static DataType type(Field field) {
        ArrowType type = field.getType();
        if (type instanceof ArrowType.Utf8) {
            return DataTypes.StringType;
        } else if (type instanceof ArrowType.Int integer) {
            return integer.getBitWidth() == Long.SIZE ? DataTypes.LongType : DataTypes.IntegerType;
        } else if (type instanceof ArrowType.FloatingPoint floating) {
            return floating.getPrecision() == FloatingPointPrecision.SINGLE
                    ? DataTypes.FloatType
                    : DataTypes.DoubleType;
        } else if (type instanceof ArrowType.Struct) {
            return struct(field.getChildren());
        } else if (type instanceof ArrowType.List) {
            return DataTypes.createArrayType(type(field.getChildren().get(0)));
        }
        throw new IllegalArgumentException("column " + field.getName() + " has type " + type + ", which no result has");
    }
}
