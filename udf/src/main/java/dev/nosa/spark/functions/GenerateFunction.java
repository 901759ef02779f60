package dev.nosa.spark.functions;

import dev.nosa.spark.NosaConf;
import dev.nosa.spark.NosaGenerate;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.types.AbstractDataType;
import org.apache.spark.sql.types.AnyDataType$;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import scala.collection.immutable.Seq;

/**
 * {@code nosa_generate(text [, options])}: text that the model generates after a prompt.
 *
 * <pre>{@code
 * SELECT id, g.generation, g.error
 * FROM (SELECT id, nosa_generate(text, map('prompt', 'Summarize: {text}', 'maxNewTokens', '200')) AS g FROM reports)
 * }</pre>
 */
public final class GenerateFunction extends ModelCall {
    static final String NAME = "nosa_generate";

    private static final long serialVersionUID = 1L;
    private static final StructType RESULT = CallRow.result(NosaGenerate.resultType());

    public GenerateFunction(Seq<Expression> children, NosaConf session) {
        super(children, session);
    }

    @Override
    GenerateFunction copy(Seq<Expression> arguments) {
        return new GenerateFunction(arguments, session());
    }

    @Override
    public String prettyName() {
        return NAME;
    }

    @Override
    int inputs() {
        return 1;
    }

    @Override
    boolean generates() {
        return true;
    }

    @Override
    public Seq<AbstractDataType> inputTypes() {
        return Scala.seq(DataTypes.StringType, AnyDataType$.MODULE$);
    }

    @Override
    public StructType dataType() {
        return RESULT;
    }

    @Override
    MapPartitionsFunction<Row, Row> function(NosaConf options) {
        return options.generate()
                .idColumn(CallRow.ID)
                .errorColumn(CallRow.UNREAD)
                .passThrough(CallRow.SOURCE)
                .build()
                .partitionFunction();
    }
}
