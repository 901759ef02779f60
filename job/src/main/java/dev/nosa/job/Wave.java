package dev.nosa.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.shiftrightunsigned;
import static org.apache.spark.sql.functions.xxhash64;

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

    /** Whether a row is in this wave. */
    Column holds() {
        return bucket().geq(from).and(bucket().lt(to));
    }
}
