package dev.nosa.spark;

import java.util.Optional;
import java.util.Set;
import org.apache.spark.SparkConf;

/** Settings of {@link NosaPlugin} in Spark's configuration. */
record PluginConf(Optional<String> model, long logSeconds, long reportSeconds) {
    /** Checkpoint folder that is checked on the driver before any task runs; default: none. */
    static final String MODEL = "spark.nosa.model";
    /** Time between an executor's lines in its log; 0: none. */
    static final String LOG_INTERVAL = "spark.nosa.log.interval";

    static final String LOG_INTERVAL_DEFAULT = "60s";
    /** Time between an executor's reports to the driver. */
    static final String REPORT_INTERVAL = "spark.nosa.metrics.interval";

    static final String REPORT_INTERVAL_DEFAULT = "10s";

    /** Settings that are no options of a function. */
    static final Set<String> CLUSTER_KEYS = Set.of(LOG_INTERVAL, REPORT_INTERVAL);

    static PluginConf of(SparkConf conf) {
        long log = conf.getTimeAsSeconds(LOG_INTERVAL, LOG_INTERVAL_DEFAULT);
        long report = conf.getTimeAsSeconds(REPORT_INTERVAL, REPORT_INTERVAL_DEFAULT);
        if (log < 0) {
            throw new IllegalArgumentException(LOG_INTERVAL + " = " + log + "s: must be 0 (no lines) or more");
        }
        if (report < 1) {
            throw new IllegalArgumentException(REPORT_INTERVAL + " = " + report + "s: must be 1s or more");
        }
        return new PluginConf(Optional.ofNullable(conf.get(MODEL, null)), log, report);
    }
}
