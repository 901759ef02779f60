package dev.nosa.job;

import dev.nosa.spark.ExecutorPlace;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;

/** Runs the doctor on the executors that are there. */
final class ExecutorVisits {
    /** So that a task holds its core until those beside it have started, and none is given to an executor twice. */
    private static final long STAY_MILLIS = 500;

    private ExecutorVisits() {}

    private record Visit(String executor, List<HealthCheck> checks) implements Serializable {}

    /** The checks of each executor, by its name; one that gave no answer has a failed check. */
    static Map<String, List<HealthCheck>> examine(SparkSession session, Doctor doctor) {
        JavaSparkContext context = JavaSparkContext.fromSparkContext(session.sparkContext());
        int cores = Math.max(1, context.defaultParallelism());
        List<Visit> visits = context.parallelize(Collections.nCopies(cores, doctor), cores)
                .mapPartitions(ExecutorVisits::visit)
                .collect();
        Map<String, List<HealthCheck>> reports = new TreeMap<>();
        visits.forEach(visit -> reports.put(visit.executor(), visit.checks()));
        // The driver is in Spark's list; where it is not the only one, it runs no tasks.
        int executors = Math.max(1, session.sparkContext().statusTracker().getExecutorInfos().length - 1);
        if (reports.size() < executors) {
            reports.put(
                    "other executors",
                    List.of(HealthCheck.warn(
                            "Spark",
                            "only " + reports.size() + " of " + executors + " executors got a task; try again, or with"
                                    + " spark.locality.wait=0")));
        }
        return reports;
    }

    private static Iterator<Visit> visit(Iterator<Doctor> doctors) throws InterruptedException {
        List<Visit> visits = new ArrayList<>();
        while (doctors.hasNext()) {
            visits.add(new Visit(ExecutorPlace.here(), doctors.next().examine()));
        }
        TimeUnit.MILLISECONDS.sleep(STAY_MILLIS);
        return visits.iterator();
    }
}
