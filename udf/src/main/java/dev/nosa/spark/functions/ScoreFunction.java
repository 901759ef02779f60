package dev.nosa.spark.functions;

import dev.nosa.spark.NosaConf;
import dev.nosa.spark.NosaScore;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.types.AbstractDataType;
import org.apache.spark.sql.types.AnyDataType$;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import scala.collection.immutable.Seq;

/**
 * {@code nosa_score(text, continuations [, options])}: log-probabilities of given texts after a prompt.
 *
 * <pre>{@code
 * SELECT id, nosa_score(text || ' Is this a complaint?', array(' yes', ' no')).scores[0].sum FROM letters
 * }</pre>
 */
public final class ScoreFunction extends ModelCall {
    static final String NAME = "nosa_score";

    private static final long serialVersionUID = 1L;
    private static final StructType RESULT = CallRow.result(NosaScore.resultType());

    public ScoreFunction(Seq<Expression> children, NosaConf session) {
        super(children, session);
    }

    @Override
    ScoreFunction copy(Seq<Expression> arguments) {
        return new ScoreFunction(arguments, session());
    }

    @Override
    public String prettyName() {
        return NAME;
    }

    @Override
    int inputs() {
        return 2;
    }

    @Override
    boolean generates() {
        return false;
    }

    @Override
    public Seq<AbstractDataType> inputTypes() {
        return Scala.seq(DataTypes.StringType, DataTypes.createArrayType(DataTypes.StringType), AnyDataType$.MODULE$);
    }

    @Override
    public StructType dataType() {
        return RESULT;
    }

    @Override
    MapPartitionsFunction<Row, Row> function(NosaConf options) {
        return options.score()
                .continuationsColumn(CallRow.CONTINUATIONS)
                .idColumn(CallRow.ID)
                .errorColumn(CallRow.UNREAD)
                .passThrough(CallRow.SOURCE)
                .build()
                .partitionFunction();
    }
}
