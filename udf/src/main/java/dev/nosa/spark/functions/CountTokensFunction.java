package dev.nosa.spark.functions;

import dev.nosa.spark.NosaConf;
import dev.nosa.tokenizer.HuggingFaceTokenizer;
import dev.nosa.tokenizer.Tokenizer;
import java.nio.file.Path;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.analysis.TypeCheckResult;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.codegen.CodegenContext;
import org.apache.spark.sql.catalyst.expressions.codegen.CodegenFallback;
import org.apache.spark.sql.catalyst.expressions.codegen.ExprCode;
import org.apache.spark.sql.types.AbstractDataType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import scala.collection.immutable.Seq;

/**
 * {@code nosa_count_tokens(text)}: how many tokens the model's tokenizer makes of a text, without those that it would put at
 * the beginning of a prompt. Needs the tokenizer alone and starts no engine.
 *
 * <pre>{@code
 * SELECT id FROM reports WHERE nosa_count_tokens(text) > 100000
 * }</pre>
 */
public final class CountTokensFunction extends NosaExpression implements CodegenFallback {
    static final String NAME = "nosa_count_tokens";

    private static final long serialVersionUID = 1L;
    /** One a model in this JVM: its file has megabytes, and every task needs it. Safe from any thread. */
    private static final ConcurrentHashMap<String, Tokenizer> TOKENIZERS = new ConcurrentHashMap<>();

    public CountTokensFunction(Seq<Expression> children, NosaConf session) {
        super(children, session);
    }

    @Override
    CountTokensFunction copy(Seq<Expression> arguments) {
        return new CountTokensFunction(arguments, session());
    }

    @Override
    public String prettyName() {
        return NAME;
    }

    @Override
    public Seq<AbstractDataType> inputTypes() {
        return Scala.seq(DataTypes.StringType);
    }

    @Override
    public DataType dataType() {
        return DataTypes.IntegerType;
    }

    @Override
    public TypeCheckResult checkInputDataTypes() {
        try {
            session().model();
            return super.checkInputDataTypes();
        } catch (IllegalArgumentException e) {
            return new TypeCheckResult.TypeCheckFailure(NAME + ": " + e.getMessage());
        }
    }

    @Override
    public Object eval(InternalRow input) {
        Object text = argument(0).eval(input);
        return text == null ? null : tokenizer().encode(text.toString(), false).length;
    }

    private Tokenizer tokenizer() {
        return TOKENIZERS.computeIfAbsent(session().model(), model -> HuggingFaceTokenizer.load(Path.of(model)));
    }

    @Override
    public ExprCode doGenCode(CodegenContext context, ExprCode code) {
        return CodegenFallback.super.doGenCode(context, code);
    }
}
