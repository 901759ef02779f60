package dev.nosa.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.shiftrightunsigned;
import static org.apache.spark.sql.functions.xxhash64;

import java.util.List;
import org.apache.spark.sql.Column;

/**
 * Documents that are done and committed together: those whose ids' hashes lie in a range, so that a wave is the same whenever
 * and wherever its rows are read.
 *
 * @param number over all plans of a run
 * @param plan the plan that it belongs to
 * @param from first bucket
 * @param to bucket behind the last
 * @param documents when it was planned
 */
record Wave(int number, int plan, int from, int to, long documents) {
    /** Ranges of hash values: the finest cut into waves. */
    static final int BUCKETS = 1 << 16;

    private static final int SHIFT = 48;

    /** The bucket of a row with {@link DocumentIds#COLUMN}. */
    static Column bucket() {
        return shiftrightunsigned(xxhash64(col(DocumentIds.COLUMN)), SHIFT).cast("int");
    }

    /** Whether a row is in one of {@code waves}, which are in order and of one plan. */
    static Column holds(List<Wave> waves) {
        Column rows = lit(false);
        int from = waves.get(0).from();
        for (int i = 0; i < waves.size(); i++) {
            int to = waves.get(i).to();
            boolean last = i + 1 == waves.size();
            if (last || waves.get(i + 1).from() != to) {
                rows = rows.or(bucket().geq(from).and(bucket().lt(to)));
                from = last ? to : waves.get(i + 1).from();
            }
        }
        return rows;
    }

    /** Whether a row is in this wave. */
    Column holds() {
        return holds(List.of(this));
    }
}
