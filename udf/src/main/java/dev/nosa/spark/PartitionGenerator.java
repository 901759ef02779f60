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
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.spark.TaskKilledException;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/**
 * Rows in, as many rows out in order of completion, with a bounded window of requests in the engine. Results pass
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
    private final Queue<Row> ready = new ArrayDeque<>();
    private int pending;
    private volatile boolean closed;

    /** A row that is done; no handle if it never was in flight. */
    private record Finished(Row row, RequestHandle<?> handle, CompletableFuture<ResultRow> result) {}

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
            pending++;
        }
    }

    private void submit(Row row) throws InterruptedException {
        try {
            RowRequests.Submitted submitted = requests.submit(row, model.engine());
            RequestHandle<?> handle = submitted.handle();
            inFlight.add(handle);
            if (closed) {
                handle.cancel(); // closed while the engine's queue was full
            }
            submitted.row().whenComplete((result, failure) -> finished.add(new Finished(row, handle, submitted.row())));
        } catch (PromptBuilder.RowException e) {
            model.counters().add(e.kind(), 1);
            ResultRow failed = ResultRow.failed(requests.id(row), e.getMessage());
            finished.add(new Finished(row, null, CompletableFuture.completedFuture(failed)));
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
            List<Row> inputs = new ArrayList<>();
            for (Finished row : rows) {
                batch.add(result(row));
                inputs.add(row.row());
                if (batch.isFull()) {
                    flush(batch, inputs);
                }
            }
            flush(batch, inputs);
        }
    }

    private ResultRow result(Finished row) {
        ResultRow result = row.result().join();
        pending--;
        if (row.handle() != null) {
            inFlight.remove(row.handle());
            if (result.status().equals(ResultRow.ERROR)) {
                model.checkAlive(); // a dead engine fails the task, so that no row is lost to it
                model.counters().add(ErrorClass.REFUSED, 1);
            }
        }
        model.counters().add(result);
        if (progress != null) {
            progress.add(result);
        }
        return result;
    }

    /** Reads the batch back as Spark does, with the pass-through columns behind the id. */
    private void flush(ResultBatch batch, List<Row> inputs) {
        ArrowRows rows = new ArrowRows(batch.flush());
        List<String> passThrough = options.passThrough();
        for (int i = 0; i < inputs.size(); i++) {
            Object[] result = rows.values(i);
            Object[] all = new Object[result.length + passThrough.size()];
            all[0] = result[0];
            for (int j = 0; j < passThrough.size(); j++) {
                all[1 + j] = inputs.get(i).getAs(passThrough.get(j));
            }
            System.arraycopy(result, 1, all, 1 + passThrough.size(), result.length - 1);
            ready.add(RowFactory.create(all));
        }
        batch.clear();
        inputs.clear();
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
