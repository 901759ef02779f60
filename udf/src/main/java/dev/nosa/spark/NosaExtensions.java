package dev.nosa.spark;

import dev.nosa.spark.functions.NosaFunctions;
import org.apache.spark.sql.SparkSessionExtensions;
import scala.runtime.AbstractFunction1;
import scala.runtime.BoxedUnit;

/**
 * For {@code spark.sql.extensions}: every session has the SQL functions {@code nosa_generate}, {@code nosa_score} and {@code
 * nosa_count_tokens}, whatever language asks.
 */
public final class NosaExtensions extends AbstractFunction1<SparkSessionExtensions, BoxedUnit> {
    @Override
    public BoxedUnit apply(SparkSessionExtensions extensions) {
        NosaFunctions.inject(extensions);
        return BoxedUnit.UNIT;
    }
}
