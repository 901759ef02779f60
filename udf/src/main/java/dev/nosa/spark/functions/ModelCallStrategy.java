package dev.nosa.spark.functions;

import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.execution.SparkStrategy;
import scala.collection.immutable.Seq;

/** Plans {@link ModelCalls}. */
final class ModelCallStrategy extends SparkStrategy {
    private static final long serialVersionUID = 1L;

    @Override
    public Seq<SparkPlan> apply(LogicalPlan plan) {
        return plan instanceof ModelCalls calls
                ? Scala.seq(new ModelCallsExec(calls.call(), calls.result(), planLater(calls.child())))
                : Scala.seq();
    }
}
