package dev.nosa.spark.functions;

import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeSet;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Statistics;
import org.apache.spark.sql.catalyst.plans.logical.SupportsNonDeterministicExpression;
import org.apache.spark.sql.catalyst.plans.logical.UnaryNode;
import scala.Option;
import scala.collection.immutable.IndexedSeq;
import scala.collection.immutable.Seq;
import scala.math.BigInt;

/**
 * Operator of a query: its child's columns and one behind them, the result of a call. Public with its constructor since Spark
 * copies nodes by reflection.
 */
public final class ModelCalls extends LogicalPlan implements UnaryNode, SupportsNonDeterministicExpression {
    private static final long serialVersionUID = 1L;

    private final ModelCall call;
    private final Attribute result;
    private final LogicalPlan child;

    public ModelCalls(ModelCall call, Attribute result, LogicalPlan child) {
        this.call = call;
        this.result = result;
        this.child = child;
    }

    ModelCall call() {
        return call;
    }

    Attribute result() {
        return result;
    }

    @Override
    public LogicalPlan child() {
        return child;
    }

    @Override
    public Seq<LogicalPlan> children() {
        return Scala.seq(child);
    }

    @Override
    public Seq<Attribute> output() {
        return Scala.append(child.output(), result);
    }

    @Override
    public Option<Object> maxRows() {
        return child.maxRows();
    }

    @Override
    public Option<Object> maxRowsPerPartition() {
        return child.maxRowsPerPartition();
    }

    /** As large as can be: Spark gives up on a broadcast after minutes, and what is shuffled first may take its time. */
    @Override
    public Statistics stats() {
        Statistics rows = child.stats();
        return rows.copy(BigInt.apply(Long.MAX_VALUE), rows.rowCount(), rows.attributeStats(), rows.isRuntime());
    }

    @Override
    public AttributeSet producedAttributes() {
        return AttributeSet.apply(result);
    }

    @Override
    public boolean allowNonDeterministicExpression() {
        return true;
    }

    @Override
    public LogicalPlan withNewChildInternal(LogicalPlan newChild) {
        return new ModelCalls(call, result, newChild);
    }

    @Override
    public LogicalPlan withNewChildrenInternal(IndexedSeq<LogicalPlan> newChildren) {
        return withNewChildInternal(newChildren.apply(0));
    }

    @Override
    public int productArity() {
        return 3;
    }

    @Override
    public Object productElement(int index) {
        return switch (index) {
            case 0 -> call;
            case 1 -> result;
            default -> child;
        };
    }

    @Override
    public boolean canEqual(Object other) {
        return other instanceof ModelCalls;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof ModelCalls calls
                && call.equals(calls.call)
                && result.equals(calls.result)
                && child.equals(calls.child);
    }

    @Override
    public int hashCode() {
        return super.hashCode(); // of the product, which TreeNode keeps
    }
}
