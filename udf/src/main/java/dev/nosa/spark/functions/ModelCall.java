package dev.nosa.spark.functions;

import dev.nosa.spark.NosaConf;
import java.util.HashMap;
import java.util.Map;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.analysis.TypeCheckResult;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.Unevaluable;
import org.apache.spark.sql.catalyst.expressions.codegen.CodegenContext;
import org.apache.spark.sql.catalyst.expressions.codegen.ExprCode;
import org.apache.spark.sql.catalyst.util.MapData;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructType;
import scala.collection.immutable.Seq;

/**
 * A call that needs the engine. It has no value of its own: {@link LiftModelCalls} moves it into a {@link ModelCalls} operator,
 * which has many rows in flight. It counts as nondeterministic, since Spark evaluates a deterministic one twice where that
 * lets it filter earlier.
 */
abstract class ModelCall extends NosaExpression implements Unevaluable {
    private static final long serialVersionUID = 1L;

    ModelCall(Seq<Expression> children, NosaConf session) {
        super(children, session);
    }

    /** Arguments before the options. */
    abstract int inputs();

    abstract boolean generates();

    /** What a task does with its rows. {@link CallRow#SCHEMA} says which columns it reads. */
    abstract MapPartitionsFunction<Row, Row> function(NosaConf options);

    @Override
    public abstract StructType dataType();

    @Override
    public boolean deterministic() {
        return false;
    }

    @Override
    public boolean foldable() {
        return false;
    }

    /** The session's options and over them the call's. */
    NosaConf options() {
        return session().with(children().size() > inputs() ? literalMap(argument(inputs())) : Map.of(), generates());
    }

    /** Checks the options too, so that a wrong one ends the query before a task starts. */
    @Override
    public TypeCheckResult checkInputDataTypes() {
        TypeCheckResult types = super.checkInputDataTypes();
        if (types.isFailure()) {
            return types;
        }
        try {
            NosaConf options = options();
            options.failOnError();
            function(options);
            return types;
        } catch (IllegalArgumentException e) {
            return new TypeCheckResult.TypeCheckFailure(prettyName() + ": " + e.getMessage());
        }
    }

    private static Map<String, String> literalMap(Expression options) {
        if (!(options.dataType() instanceof MapType type) || !(type.keyType() instanceof StringType)) {
            throw new IllegalArgumentException("the options are "
                    + options.dataType().simpleString() + ": must be a map of strings, as map('seed', '7')");
        }
        if (!options.foldable()) {
            throw new IllegalArgumentException("the options differ from row to row: must be a constant map");
        }
        MapData map = (MapData) evaluate(options);
        Map<String, String> values = new HashMap<>();
        for (int i = 0; map != null && i < map.numElements(); i++) {
            String name = map.keyArray().getUTF8String(i).toString();
            Object value = map.valueArray().get(i, type.valueType());
            if (value == null) {
                throw new IllegalArgumentException(name + " is null: give it a value, or leave it out");
            }
            values.put(name, value.toString());
        }
        return values;
    }

    /** Spark makes numbers of all values of a map with one number among them, and fails at those that are none. */
    private static Object evaluate(Expression options) {
        try {
            return ((Expression) options.clone()).eval(InternalRow.empty()); // a map that has failed once stays broken
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException(
                    "the options mix numbers and strings: write all values as strings, as map('seed', '7')", e);
        }
    }

    @Override
    public Object eval(InternalRow input) {
        return Unevaluable.super.eval(input);
    }

    @Override
    public ExprCode doGenCode(CodegenContext context, ExprCode code) {
        return Unevaluable.super.doGenCode(context, code);
    }
}
