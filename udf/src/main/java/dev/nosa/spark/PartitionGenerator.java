package dev.nosa.spark;

import dev.nosa.arrow.ResultBatch;
import dev.nosa.arrow.ResultRow;
import dev.nosa.engine.RequestHandle;
import dev.nosa.spark.metrics.ErrorClass;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.spark.TaskKilledException;
import org.apache.spark.sql.Row;

/**
 * Rows in, one row out for each prompt, in order of completion, with a bounded window of requests in the engine. Results pass
 * through Arrow batches, and none waits for another.
 *
 * <p>One thread iterates. {@link #close} comes with the end of the task, whatever ends it, also from another thread; it
 * cancels what is in flight. Arrow memory lives only inside a call of {@link #hasNext}.
 */
final class PartitionGenerator implements Iterator<Row>, AutoCloseable {
    private static final long POLL_MILLIS = 100;

    private final TransformOptions options;
    private final Iterator<Row> input;
    private final HostedModel model;
    private final RowRequests requests;
    private final RunProgress progress;
    private final BooleanSupplier killed;
    private final BlockingQueue<Finished> finished = new LinkedBlockingQueue<>();
    private final Set<RequestHandle<?>> inFlight = ConcurrentHashMap.newKeySet();
    private final OutputRows output;
    private final Queue<Row> ready = new ArrayDeque<>();
    private int pending;
    private volatile boolean closed;

    /** A prompt of a row that is done. */
    private record Finished(Row row, RowRequests.Submitted prompt) {}

    /**
     * @param progress null: nothing is counted
     * @param killed whether the task is to end
     */
    PartitionGenerator(
            TransformOptions options,
            Iterator<Row> input,
            HostedModel model,
            RowRequests requests,
            RunProgress progress,
            BooleanSupplier killed) {
        this.options = options;
        this.input = input;
        this.model = model;
        this.requests = requests;
        this.progress = progress;
        this.killed = killed;
        output = new OutputRows(options);
        model.enter();
    }

    @Override
    public boolean hasNext() {
        try {
            while (ready.isEmpty()) {
                submitUpToWindow();
                if (pending == 0) {
                    close();
                    return false;
                }
                handOver(takeFinished());
            }
            return true;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new TaskKilledException("interrupted while waiting for the engine");
        }
    }

    @Override
    public Row next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        return ready.remove();
    }

    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            model.leave();
            if (progress != null) {
                progress.add(model.report());
            }
            model.counters()
                    .add(
                            ErrorClass.CANCELLED,
                            inFlight.stream()
                                    .filter(handle -> !handle.result().isDone())
                                    .count());
            inFlight.forEach(RequestHandle::cancel);
        }
    }

    private void submitUpToWindow() throws InterruptedException {
        while (pending < model.window() && input.hasNext()) {
            checkRunning();
            submit(input.next());
        }
    }

    private void submit(Row row) throws InterruptedException {
        for (RowRequests.Submitted prompt : requests.submit(row, model.engine())) {
            pending++;
            if (prompt.handle() != null) {
                inFlight.add(prompt.handle());
                if (closed) {
                    prompt.handle().cancel(); // closed while the engine's queue was full
                }
            }
            prompt.row().whenComplete((result, failure) -> finished.add(new Finished(row, prompt)));
        }
    }

    /** Waits for one row, and takes those that are done as well. */
    private List<Finished> takeFinished() throws InterruptedException {
        Finished first = finished.poll(POLL_MILLIS, TimeUnit.MILLISECONDS);
        while (first == null) {
            checkRunning();
            first = finished.poll(POLL_MILLIS, TimeUnit.MILLISECONDS);
        }
        checkRunning();
        List<Finished> rows = new ArrayList<>();
        rows.add(first);
        finished.drainTo(rows);
        return rows;
    }

    private void handOver(List<Finished> rows) {
        try (BufferAllocator allocator = new RootAllocator();
                ResultBatch batch =
                        new ResultBatch(options.resultSchema(), allocator, ResultBatch.DEFAULT_FLUSH_BYTES)) {
            List<Finished> added = new ArrayList<>();
            for (Finished row : rows) {
                batch.add(result(row));
                added.add(row);
                if (batch.isFull()) {
                    flush(batch, added);
                }
            }
            flush(batch, added);
        }
    }

    private ResultRow result(Finished row) {
        ResultRow result = row.prompt.row().join();
        pending--;
        if (row.prompt.handle() != null) {
            inFlight.remove(row.prompt.handle());
            if (result.status().equals(ResultRow.ERROR)) {
                model.checkAlive(); // a dead engine fails the task, so that no row is lost to it
            }
        }
        if (result.status().equals(ResultRow.ERROR)) {
            model.counters().add(row.prompt.kind() == null ? ErrorClass.REFUSED : row.prompt.kind(), 1);
        }
        model.counters().add(result);
        if (progress != null) {
            progress.add(result);
        }
        return result;
    }

    /** Reads the batch back as Spark does. */
    private void flush(ResultBatch batch, List<Finished> added) {
        ArrowRows rows = new ArrowRows(batch.flush());
        for (int i = 0; i < added.size(); i++) {
            Finished row = added.get(i);
            output.add(row.row, row.prompt.prompt(), rows.values(i)).ifPresent(ready::add);
        }
        batch.clear();
        added.clear();
    }

    /** Spark marks a killed task and does not always interrupt its thread. */
    private void checkRunning() {
        if (killed.getAsBoolean()) {
            throw new TaskKilledException("killed while waiting for the engine");
        }
        if (closed) {
            throw new IllegalStateException("the task has ended");
        }
    }
}
