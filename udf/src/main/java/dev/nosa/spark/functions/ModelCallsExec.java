package dev.nosa.spark.functions;

import dev.nosa.spark.GpuAddress;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeSet;
import org.apache.spark.sql.catalyst.plans.physical.Partitioning;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.execution.UnaryExecNode;
import scala.collection.immutable.IndexedSeq;
import scala.collection.immutable.Seq;

/** {@link ModelCalls} as it runs: each task keeps a window of its rows in the executor's engine. */
public final class ModelCallsExec extends SparkPlan implements UnaryExecNode {
    private static final long serialVersionUID = 1L;

    private final ModelCall call;
    private final Attribute result;
    private final SparkPlan child;

    public ModelCallsExec(ModelCall call, Attribute result, SparkPlan child) {
        this.call = call;
        this.result = result;
        this.child = child;
    }

    @Override
    public RDD<InternalRow> doExecute() {
        GpuAddress.check(sparkContext());
        CallTask task = new CallTask(call, child.output(), output());
        return child.execute().toJavaRDD().mapPartitions(task).rdd();
    }

    @Override
    public SparkPlan child() {
        return child;
    }

    @Override
    public Seq<SparkPlan> children() {
        return Scala.seq(child);
    }

    @Override
    public Seq<Attribute> output() {
        return Scala.append(child.output(), result);
    }

    @Override
    public AttributeSet producedAttributes() {
        return AttributeSet.apply(result);
    }

    /** Rows change their order and stay where they are. */
    @Override
    public Partitioning outputPartitioning() {
        return child.outputPartitioning();
    }

    @Override
    public SparkPlan withNewChildInternal(SparkPlan newChild) {
        return new ModelCallsExec(call, result, newChild);
    }

    @Override
    public SparkPlan withNewChildrenInternal(IndexedSeq<SparkPlan> newChildren) {
        return withNewChildInternal(newChildren.apply(0));
    }

    @Override
    public String verboseStringWithOperatorId() {
        return UnaryExecNode.super.verboseStringWithOperatorId();
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
        return other instanceof ModelCallsExec;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof ModelCallsExec calls
                && call.equals(calls.call)
                && result.equals(calls.result)
                && child.equals(calls.child);
    }

    @Override
    public int hashCode() {
        return super.hashCode(); // of the product, which TreeNode keeps
    }
}
