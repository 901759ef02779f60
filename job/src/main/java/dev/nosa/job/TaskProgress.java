package dev.nosa.job;

import dev.nosa.spark.RunProgress;
import java.util.HashMap;
import java.util.Map;
import org.apache.spark.scheduler.AccumulableInfo;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorMetricsUpdate;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import scala.collection.Iterable;
import scala.jdk.javaapi.CollectionConverters;

/**
 * How far running tasks are, from the accumulator values in executors' heartbeats: Spark adds them up on the driver only
 * when a task ends. Safe from any thread.
 */
final class TaskProgress extends SparkListener {
    private final Map<Long, ProgressLine.Snapshot> running = new HashMap<>();
    private ProgressLine.Snapshot finished = new ProgressLine.Snapshot(0, 0);

    synchronized ProgressLine.Snapshot snapshot() {
        return running.values().stream().reduce(finished, ProgressLine.Snapshot::plus);
    }

    @Override
    public synchronized void onExecutorMetricsUpdate(SparkListenerExecutorMetricsUpdate update) {
        CollectionConverters.asJava(update.accumUpdates())
                .forEach(task -> running.put((Long) task._1(), of(task._4())));
    }

    @Override
    public synchronized void onTaskEnd(SparkListenerTaskEnd end) {
        running.remove(end.taskInfo().taskId());
        if (end.taskInfo().successful()) {
            finished = finished.plus(of(end.taskInfo().accumulables()));
        }
    }

    private static ProgressLine.Snapshot of(Iterable<AccumulableInfo> accumulators) {
        long documents = 0;
        long tokens = 0;
        for (AccumulableInfo accumulator : CollectionConverters.asJava(accumulators)) {
            String name = accumulator.name().getOrElse(() -> "");
            if (name.equals(RunProgress.DOCUMENTS)) {
                documents += value(accumulator);
            } else if (name.equals(RunProgress.PROMPT_TOKENS) || name.equals(RunProgress.OUTPUT_TOKENS)) {
                tokens += value(accumulator);
            }
        }
        return new ProgressLine.Snapshot(documents, tokens);
    }

    private static long value(AccumulableInfo accumulator) {
        Object update = accumulator.update().getOrElse(() -> null);
        return update instanceof Number number ? number.longValue() : 0;
    }
}
