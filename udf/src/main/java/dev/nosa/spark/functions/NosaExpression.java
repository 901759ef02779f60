package dev.nosa.spark.functions;

import dev.nosa.spark.NosaConf;
import java.io.Serializable;
import java.util.List;
import org.apache.spark.sql.catalyst.analysis.TypeCheckResult;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.ImplicitCastInputTypes;
import scala.collection.Iterator;
import scala.collection.immutable.IndexedSeq;
import scala.collection.immutable.Seq;

/**
 * A function's call in a query, with the session's options as they were when it was analyzed. What stands here Scala
 * would give a case class; subclasses and their constructors are public since Spark copies nodes by reflection.
 */
abstract class NosaExpression extends Expression implements ImplicitCastInputTypes, Serializable {
    private static final long serialVersionUID = 1L;

    private final Seq<Expression> children;
    private final NosaConf session;

    NosaExpression(Seq<Expression> children, NosaConf session) {
        this.children = children;
        this.session = session;
    }

    NosaConf session() {
        return session;
    }

    Expression argument(int index) {
        return children.apply(index);
    }

    List<Expression> arguments() {
        return Scala.list(children);
    }

    /** The same call with other arguments. */
    abstract NosaExpression copy(Seq<Expression> arguments);

    @Override
    public Seq<Expression> children() {
        return children;
    }

    @Override
    public Expression withNewChildrenInternal(IndexedSeq<Expression> newChildren) {
        return copy(newChildren);
    }

    @Override
    public abstract String prettyName();

    @Override
    public boolean nullable() {
        return true;
    }

    @Override
    public TypeCheckResult checkInputDataTypes() {
        return ImplicitCastInputTypes.super.checkInputDataTypes();
    }

    /** What is printed of a call. */
    @Override
    public Iterator<Object> stringArgs() {
        return Scala.<Object>seq(arguments()).iterator();
    }

    @Override
    public int productArity() {
        return 2;
    }

    @Override
    public Object productElement(int index) {
        return index == 0 ? children : session;
    }

    @Override
    public boolean canEqual(Object other) {
        return other != null && other.getClass() == getClass();
    }

    @Override
    public boolean equals(Object other) {
        return canEqual(other)
                && children.equals(((NosaExpression) other).children)
                && session.equals(((NosaExpression) other).session);
    }

    @Override
    public int hashCode() {
        return super.hashCode(); // of the product, which TreeNode keeps
    }
}
