package dev.nosa.spark.functions;

import dev.nosa.spark.NosaConf;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.ExperimentalMethods;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.SparkSessionExtensions;
import org.apache.spark.sql.catalyst.optimizer.ColumnPruning$;
import org.apache.spark.sql.catalyst.optimizer.PushPredicateThroughNonJoin$;
import org.apache.spark.sql.catalyst.optimizer.RemoveNoopOperators$;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.execution.SparkStrategy;
import scala.Tuple3;

/** The SQL functions {@code nosa_generate}, {@code nosa_score} and {@code nosa_count_tokens} in a session. */
public final class NosaFunctions {
    private static final SparkStrategy STRATEGY = new ModelCallStrategy();
    private static final Rule<LogicalPlan> LIFT = new LiftModelCalls();
    private static final Rule<LogicalPlan> PUSH = new PushBelowModelCalls();
    private static final Rule<LogicalPlan> SHUFFLE = new ShuffleBeforeSampling();
    /** In a running session the analyzer takes no rule any more: after Spark's own, some of which new operators need again. */
    private static final List<Rule<LogicalPlan>> LATE = List.of(
            LIFT,
            PushPredicateThroughNonJoin$.MODULE$,
            ColumnPruning$.MODULE$,
            PUSH,
            RemoveNoopOperators$.MODULE$,
            SHUFFLE);

    private NosaFunctions() {}

    /**
     * Adds the functions to a running session; {@link dev.nosa.spark.NosaExtensions} adds them to every session.
     *
     * @param options become the session's, each as {@code spark.nosa.NAME}; {@link NosaConf} says which there are
     * @throws IllegalArgumentException if an option is unknown, or the session is one of Spark Connect
     */
    public static void register(SparkSession spark, Map<String, String> options) {
        if (!(spark instanceof org.apache.spark.sql.classic.SparkSession session)) {
            throw new IllegalArgumentException(
                    "functions cannot be registered through Spark Connect: start its server with"
                            + " spark.sql.extensions=dev.nosa.spark.NosaExtensions");
        }
        NosaConf.ofSession(spark)
                .with(options, true)
                .toMap()
                .forEach((name, value) -> spark.conf().set(NosaConf.PREFIX + name, value));
        for (SqlFunction function : SqlFunction.ALL) {
            session.sessionState()
                    .functionRegistry()
                    .createOrReplaceTempFunction(function.name(), function.builder(), "java_udf");
        }
        ExperimentalMethods methods = session.experimental();
        if (!methods.extraStrategies().contains(STRATEGY)) {
            methods.extraStrategies_$eq(Scala.append(methods.extraStrategies(), STRATEGY));
            LATE.forEach(rule -> methods.extraOptimizations_$eq(Scala.append(methods.extraOptimizations(), rule)));
        }
    }

    /** Adds the functions to a running session that has none yet. */
    public static void ensure(SparkSession spark) {
        if (!spark.catalog().functionExists(GenerateFunction.NAME)) {
            register(spark, Map.of());
        }
    }

    /** Adds the functions to sessions that are yet to be made. */
    public static void inject(SparkSessionExtensions extensions) {
        for (SqlFunction function : SqlFunction.ALL) {
            extensions.injectFunction(new Tuple3<>(function.identifier(), function.info(), function.builder()));
        }
        extensions.injectPostHocResolutionRule(session -> LIFT);
        extensions.injectOptimizerRule(session -> PUSH);
        extensions.injectPreCBORule(session -> LIFT);
        extensions.injectPreCBORule(session -> SHUFFLE);
        extensions.injectPlannerStrategy(session -> STRATEGY);
    }
}
