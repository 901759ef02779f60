package dev.nosa.spark.functions;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import org.apache.spark.sql.catalyst.expressions.And;
import org.apache.spark.sql.catalyst.expressions.Expression;

/** A condition in two parts, which together with AND are the whole. */
record Conjuncts(Optional<Expression> matching, Optional<Expression> others) {

    /** The parts of {@code condition} for which {@code matches} holds, and the others. */
    static Conjuncts of(Expression condition, Predicate<Expression> matches) {
        List<Expression> matching = new ArrayList<>();
        List<Expression> others = new ArrayList<>();
        for (Expression part : parts(condition)) {
            (matches.test(part) ? matching : others).add(part);
        }
        return new Conjuncts(all(matching), all(others));
    }

    private static List<Expression> parts(Expression condition) {
        List<Expression> parts = new ArrayList<>();
        if (condition instanceof And and) {
            parts.addAll(parts(and.left()));
            parts.addAll(parts(and.right()));
        } else {
            parts.add(condition);
        }
        return parts;
    }

    private static Optional<Expression> all(List<Expression> parts) {
        return parts.stream().reduce(And::new);
    }
}
