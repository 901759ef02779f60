package dev.nosa.spark.functions;

import dev.nosa.spark.NosaConf;
import java.util.List;
import java.util.function.BiFunction;
import java.util.stream.IntStream;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.FunctionIdentifier;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.ExpressionInfo;
import org.apache.spark.sql.errors.QueryCompilationErrors;
import scala.Function1;
import scala.collection.immutable.Seq;

/**
 * A function as Spark registers it.
 *
 * @param minArguments how many it needs; {@code maxArguments}: and may have
 * @param usage for {@code DESCRIBE FUNCTION}; {@code example}: for {@code DESCRIBE FUNCTION EXTENDED}
 */
record SqlFunction(
        String name,
        Class<?> type,
        int minArguments,
        int maxArguments,
        String usage,
        String example,
        BiFunction<Seq<Expression>, NosaConf, Expression> call) {

    static final List<SqlFunction> ALL = List.of(
            new SqlFunction(
                    GenerateFunction.NAME,
                    GenerateFunction.class,
                    1,
                    2,
                    "_FUNC_(text [, options]) - Text that the model generates after a prompt.",
                    "SELECT id, _FUNC_(text, map('prompt', 'Summarize: {text}', 'maxNewTokens', '200')) FROM reports",
                    GenerateFunction::new),
            new SqlFunction(
                    ScoreFunction.NAME,
                    ScoreFunction.class,
                    2,
                    3,
                    "_FUNC_(text, continuations [, options]) - Log-probabilities of given texts after a prompt.",
                    "SELECT id, _FUNC_(text, array(' yes', ' no')).scores[0].sum FROM letters",
                    ScoreFunction::new),
            new SqlFunction(
                    CountTokensFunction.NAME,
                    CountTokensFunction.class,
                    1,
                    1,
                    "_FUNC_(text) - How many tokens the model's tokenizer makes of a text.",
                    "SELECT id FROM reports WHERE _FUNC_(text) > 100000",
                    CountTokensFunction::new));

    FunctionIdentifier identifier() {
        return new FunctionIdentifier(name);
    }

    ExpressionInfo info() {
        String examples = "\n    Examples:\n      > " + example + ";\n";
        return new ExpressionInfo(type.getName(), null, name, usage, "", examples, "", "", "", "", "");
    }

    /** Makes a call of arguments, with the options of the session that asks. */
    Function1<Seq<Expression>, Expression> builder() {
        return arguments -> {
            if (arguments.size() < minArguments || arguments.size() > maxArguments) {
                throw wrongNumber(arguments.size());
            }
            return call.apply(arguments, NosaConf.ofSession(SparkSession.active()));
        };
    }

    private RuntimeException wrongNumber(int given) {
        Object[] allowed =
                IntStream.rangeClosed(minArguments, maxArguments).boxed().toArray();
        return Scala.unchecked(QueryCompilationErrors.wrongNumArgsError(name, Scala.seq(allowed), given, "", "", ""));
    }
}
