package dev.nosa.spark.functions;

import dev.nosa.arrow.ResultRow;
import dev.nosa.arrow.ResultSchema;
import java.util.Iterator;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.catalyst.CatalystTypeConverters;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.expressions.JoinedRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeProjection;
import org.apache.spark.sql.types.StructType;
import scala.Function1;
import scala.collection.immutable.Seq;

/** A task of {@link ModelCallsExec}: rows in, the same rows with the result behind their columns out, as they get done. */
final class CallTask implements FlatMapFunction<Iterator<InternalRow>, InternalRow> {
    private static final long serialVersionUID = 1L;

    private final String name;
    private final MapPartitionsFunction<Row, Row> function;
    private final boolean failOnError;
    private final StructType result;
    private final Seq<Expression> arguments;
    private final Seq<Attribute> input;
    private final Seq<Attribute> output;

    CallTask(ModelCall call, Seq<Attribute> input, Seq<Attribute> output) {
        name = call.prettyName();
        function = call.function(call.options());
        failOnError = call.options().failOnError();
        result = call.dataType();
        arguments = Scala.seq(call.arguments().subList(0, call.inputs()));
        this.input = input;
        this.output = output;
    }

    @Override
    public Iterator<InternalRow> call(Iterator<InternalRow> rows) throws Exception {
        UnsafeProjection evaluate = UnsafeProjection.create(arguments, input);
        evaluate.initialize(TaskContext.getPartitionId());
        // Spark uses one row object again and again; these wait in the engine.
        Iterator<Row> results = function.call(map(rows, row -> CallRow.of(row.copy(), evaluate.apply(row))));
        Function1<Object, Object> convert = CatalystTypeConverters.createToCatalystConverter(result);
        UnsafeProjection toUnsafe = UnsafeProjection.create(Scala.<Expression>seq(Scala.list(output)), output);
        return map(results, row -> {
            CallRow source = row.getAs(1);
            Object value = source.isNull() ? null : convert.apply(struct(row));
            return toUnsafe.apply(new JoinedRow(source.row(), new GenericInternalRow(new Object[] {value})));
        });
    }

    /** A result row has the id and the source first. */
    private Row struct(Row row) {
        Object[] values = new Object[result.length()];
        for (int i = 0; i < values.length; i++) {
            values[i] = row.get(2 + i);
        }
        if (failOnError && ResultRow.ERROR.equals(values[result.fieldIndex(ResultSchema.STATUS)])) {
            throw new IllegalStateException(name + ": " + values[result.fieldIndex(ResultSchema.ERROR)]
                    + " (failOnError = false makes it the row's error)");
        }
        return RowFactory.create(values);
    }

    private static <A, B> Iterator<B> map(Iterator<A> items, java.util.function.Function<A, B> each) {
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                return items.hasNext();
            }

            @Override
            public B next() {
                return each.apply(items.next());
            }
        };
    }
}
