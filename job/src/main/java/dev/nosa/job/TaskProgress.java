package dev.nosa.job;

import dev.nosa.spark.RunProgress;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
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
    /** A heartbeat may come in after the end of its task, and would count it twice. */
    private final Set<Long> ended = new HashSet<>();

    private ProgressLine.Snapshot finished = new ProgressLine.Snapshot(0, 0);

    synchronized ProgressLine.Snapshot snapshot() {
        return running.values().stream().reduce(finished, ProgressLine.Snapshot::plus);
    }

    @Override
    public void onExecutorMetricsUpdate(SparkListenerExecutorMetricsUpdate update) {
        CollectionConverters.asJava(update.accumUpdates()).forEach(task -> heartbeat((Long) task._1(), of(task._4())));
    }

    synchronized void heartbeat(long task, ProgressLine.Snapshot progress) {
        if (!ended.contains(task)) {
            running.put(task, progress);
        }
    }

    @Override
    public void onTaskEnd(SparkListenerTaskEnd end) {
        end(
                end.taskInfo().taskId(),
                end.taskInfo().successful(),
                of(end.taskInfo().accumulables()));
    }

    synchronized void end(long task, boolean successful, ProgressLine.Snapshot progress) {
        ended.add(task);
        running.remove(task);
        if (successful) {
            finished = finished.plus(progress);
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
