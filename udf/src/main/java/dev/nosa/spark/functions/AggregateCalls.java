package dev.nosa.spark.functions;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.spark.sql.catalyst.expressions.Alias;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.expressions.aggregate.AggregateExpression;
import org.apache.spark.sql.catalyst.plans.logical.Aggregate;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import scala.Option;

/** Calls in an aggregation: grouping keys and arguments of aggregate functions need them for each row, others for each group. */
final class AggregateCalls {
    private final Set<NamedExpression> groups = new LinkedHashSet<>();
    private final List<Expression> keys;

    private AggregateCalls(List<Expression> keys) {
        this.keys = keys;
    }

    /** The aggregation with the calls for each row below it, and those for each group in a projection above. */
    static LogicalPlan separate(Aggregate aggregate) {
        Aggregate lifted = aggregate;
        Optional<ModelCall> call = callForEachRow(lifted);
        while (call.isPresent()) {
            lifted = (Aggregate) LiftModelCalls.liftOne(lifted, call.get());
            call = callForEachRow(lifted);
        }
        boolean forGroups = Scala.list(lifted.expressions()).stream()
                .anyMatch(expression -> LiftModelCalls.innermost(expression).isPresent());
        return forGroups ? new AggregateCalls(Scala.list(lifted.groupingExpressions())).above(lifted) : lifted;
    }

    private static Optional<ModelCall> callForEachRow(Aggregate aggregate) {
        Stream<Expression> functions = Scala.list(aggregate.expressions()).stream()
                .flatMap(expression ->
                        Scala.list(expression.collect(Scala.only(part -> part instanceof AggregateExpression)))
                                .stream());
        return Stream.concat(Scala.list(aggregate.groupingExpressions()).stream(), functions)
                .map(LiftModelCalls::innermost)
                .flatMap(Optional::stream)
                .findFirst();
    }

    private LogicalPlan above(Aggregate aggregate) {
        List<NamedExpression> projected = new ArrayList<>();
        for (NamedExpression column : Scala.list(aggregate.aggregateExpressions())) {
            projected.add((NamedExpression) ((Expression) column).transformDown(Scala.replacing(this::ofGroup)));
        }
        return new Project(
                Scala.seq(projected),
                new Aggregate(
                        aggregate.groupingExpressions(),
                        Scala.seq(List.copyOf(groups)),
                        aggregate.child(),
                        aggregate.hint()));
    }

    /** A column of the aggregation in place of what only the aggregation can compute. */
    private Expression ofGroup(Expression part) {
        boolean isKey = keys.stream().anyMatch(key -> key.semanticEquals(part));
        if (!isKey && !(part instanceof AggregateExpression)) {
            return part;
        }
        NamedExpression column = part instanceof NamedExpression named
                ? named
                : new Alias(
                        part, part.prettyName(), NamedExpression.newExprId(), Scala.seq(), Option.empty(), Scala.seq());
        groups.add(column);
        return (Expression) column.toAttribute();
    }
}
