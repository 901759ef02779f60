package dev.nosa.spark.functions;

import java.util.Optional;
import java.util.function.Predicate;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeReference;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.expressions.OuterReference;
import org.apache.spark.sql.catalyst.plans.logical.Aggregate;
import org.apache.spark.sql.catalyst.plans.logical.Filter;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.types.Metadata;

/**
 * Moves the calls out of a query's expressions, each into a {@link ModelCalls} operator below, as Spark does with functions in
 * Python: an expression sees one row at a time, an operator all rows of its task. Equal calls of one operator become one.
 */
final class LiftModelCalls extends Rule<LogicalPlan> {
    @Override
    public LogicalPlan apply(LogicalPlan plan) {
        // What refers to an outer query becomes a join, and comes by again.
        boolean correlated = plan.exists(node -> node.expressions().exists(LiftModelCalls::isCorrelated));
        return correlated || !plan.resolved() ? plan : lift(plan);
    }

    private static boolean isCorrelated(Expression expression) {
        return expression.exists(part -> part instanceof OuterReference);
    }

    private LogicalPlan lift(LogicalPlan plan) {
        LogicalPlan lifted = plan.mapChildren(this::lift);
        if (plan instanceof ModelCalls) {
            return lifted;
        }
        if (lifted instanceof Aggregate aggregate) {
            lifted = AggregateCalls.separate(aggregate);
        }
        Optional<ModelCall> call = firstCall(lifted);
        while (call.isPresent()) {
            lifted = liftOne(lifted, call.get());
            call = firstCall(lifted);
        }
        // Filters and sorts hand all of their input on.
        return lifted.output().equals(plan.output()) ? lifted : new Project(Scala.named(plan.output()), lifted);
    }

    private static Optional<ModelCall> firstCall(LogicalPlan plan) {
        return Scala.list(plan.expressions()).stream()
                .map(LiftModelCalls::innermost)
                .flatMap(Optional::stream)
                .findFirst();
    }

    /** A call whose arguments hold none themselves. */
    static Optional<ModelCall> innermost(Expression expression) {
        Optional<ModelCall> below = Scala.list(expression.children()).stream()
                .map(LiftModelCalls::innermost)
                .flatMap(Optional::stream)
                .findFirst();
        return below.isEmpty() && expression instanceof ModelCall call ? Optional.of(call) : below;
    }

    /** The plan with the call's result in place of the call, wherever it stands in it. */
    static LogicalPlan liftOne(LogicalPlan plan, ModelCall call) {
        if (plan.children().size() != 1) {
            throw new IllegalArgumentException(call.prettyName() + " cannot be used in " + plan.nodeName()
                    + ": call it in the SELECT list of a subquery, and use its result there");
        }
        LogicalPlan above = plan instanceof Filter filter ? cheapFirst(filter) : plan;
        Attribute result = new AttributeReference(
                call.prettyName(),
                call.dataType(),
                call.nullable(),
                Metadata.empty(),
                NamedExpression.newExprId(),
                Scala.seq());
        return above.withNewChildren(
                        Scala.seq(new ModelCalls(call, result, above.children().apply(0))))
                .mapExpressions(expression ->
                        expression.transform(Scala.replacing(part -> isSame(part, call) ? result : part)));
    }

    /** As Spark compares deterministic expressions. */
    private static boolean isSame(Expression part, ModelCall call) {
        return part instanceof ModelCall && part.canonicalized().equals(call.canonicalized());
    }

    /** What needs no model decides first which rows need one. */
    private static Filter cheapFirst(Filter filter) {
        Predicate<Expression> cheap = part -> innermost(part).isEmpty();
        Conjuncts conjuncts = Conjuncts.of(filter.condition(), cheap);
        return conjuncts
                .matching()
                .map(first -> new Filter(conjuncts.others().orElseThrow(), new Filter(first, filter.child())))
                .orElse(filter);
    }
}
