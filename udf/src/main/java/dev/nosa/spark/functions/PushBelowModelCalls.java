package dev.nosa.spark.functions;

import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.plans.logical.Filter;
import org.apache.spark.sql.catalyst.plans.logical.LocalLimit;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.rules.Rule;

/** Lets conditions, limits and unused results decide first which rows are generated at all: each depends on its row alone. */
final class PushBelowModelCalls extends Rule<LogicalPlan> {
    @Override
    public LogicalPlan apply(LogicalPlan plan) {
        LogicalPlan below = plan.mapChildren(this::apply);
        if (below instanceof Filter filter && filter.child() instanceof ModelCalls calls) {
            return filtered(filter, calls);
        } else if (below instanceof LocalLimit limit) {
            LogicalPlan limited = limited(limit.child(), limit.limitExpr());
            return limited == limit.child() ? limit : new LocalLimit(limit.limitExpr(), limited);
        } else if (below instanceof Project project
                && project.child() instanceof ModelCalls calls
                && !project.references().contains(calls.result())) {
            return new Project(project.projectList(), calls.child());
        }
        return below;
    }

    private static LogicalPlan filtered(Filter filter, ModelCalls calls) {
        Conjuncts conjuncts = Conjuncts.of(
                filter.condition(),
                part -> part.deterministic() && !part.references().contains(calls.result()));
        if (conjuncts.matching().isEmpty()) {
            return filter;
        }
        LogicalPlan fewer =
                calls.withNewChildInternal(new Filter(conjuncts.matching().get(), calls.child()));
        return conjuncts
                .others()
                .<LogicalPlan>map(last -> new Filter(last, fewer))
                .orElse(fewer);
    }

    /** The plan with the limit below its first calls; itself where there are none, or they are limited. */
    private static LogicalPlan limited(LogicalPlan plan, Expression limit) {
        if (plan instanceof ModelCalls calls) {
            boolean done = calls.child() instanceof LocalLimit;
            return done ? plan : calls.withNewChildInternal(new LocalLimit(limit, calls.child()));
        } else if (plan instanceof Project project) {
            LogicalPlan child = limited(project.child(), limit);
            return child == project.child() ? plan : new Project(project.projectList(), child);
        }
        return plan;
    }
}
