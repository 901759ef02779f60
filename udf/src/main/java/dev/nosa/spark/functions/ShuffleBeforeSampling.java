package dev.nosa.spark.functions;

import org.apache.spark.sql.catalyst.expressions.SortOrder;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.RepartitionByExpression;
import org.apache.spark.sql.catalyst.plans.logical.RepartitionOperation;
import org.apache.spark.sql.catalyst.plans.logical.Sort;
import org.apache.spark.sql.catalyst.rules.Rule;
import scala.Option;

/** To sort, Spark reads its input twice, first to sample it: a shuffle before it keeps what was generated. */
final class ShuffleBeforeSampling extends Rule<LogicalPlan> {
    @Override
    public LogicalPlan apply(LogicalPlan plan) {
        LogicalPlan below = plan.mapChildren(this::apply);
        if (!samples(below) || !hasUnshuffledCall(below.children().apply(0))) {
            return below;
        }
        return below.withNewChildren(Scala.seq(
                new RepartitionByExpression(Scala.seq(), below.children().apply(0), Option.empty(), Option.empty())));
    }

    private static boolean samples(LogicalPlan plan) {
        return plan instanceof Sort sort && sort.global()
                || plan instanceof RepartitionByExpression repartition
                        && repartition.partitionExpressions().exists(by -> by instanceof SortOrder);
    }

    private static boolean hasUnshuffledCall(LogicalPlan plan) {
        boolean shuffled = plan instanceof RepartitionOperation repartition && repartition.shuffle();
        return plan instanceof ModelCalls
                || !shuffled && plan.children().exists(ShuffleBeforeSampling::hasUnshuffledCall);
    }
}
