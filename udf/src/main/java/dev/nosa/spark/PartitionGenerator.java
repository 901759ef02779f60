package dev.nosa.spark;

import dev.nosa.arrow.ResultBatch;
import dev.nosa.arrow.ResultRow;
import dev.nosa.engine.InferenceEngine;
import dev.nosa.engine.RequestHandle;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskKilledException;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/**
 * Rows in, as many rows out in order of completion, with a bounded window of requests in the engine. Results pass
 * through Arrow batches. Closed with its task, whatever ends it: what is in flight is cancelled. Used by the task's
 * thread.
 */
final class PartitionGenerator implements Iterator<Row>, AutoCloseable {
    private static final int BATCH_ROWS = 64;
    private static final int POLL_MILLIS = 100;

    private final TransformOptions options;
    private final Iterator<Row> input;
    private final InferenceEngine engine;
    private final RowRequests requests;
    private final RunProgress progress;
    private final TaskContext task;
    private final int window;
    private final BufferAllocator allocator = new RootAllocator();
    private final ResultBatch batch;
    private final BlockingQueue<Finished> finished = new LinkedBlockingQueue<>();
    private final Set<RequestHandle<?>> inFlight = new HashSet<>();
    private final Deque<Row> ready = new ArrayDeque<>();
    private final List<Object[]> passThrough = new ArrayList<>();
    private boolean closed;

    /** A result with the pass-through values of its row; no handle if it never was in flight. */
    private record Finished(ResultRow row, Object[] passThrough, RequestHandle<?> handle) {}

    PartitionGenerator(
            TransformOptions options,
            Iterator<Row> input,
            InferenceEngine engine,
            RowRequests requests,
            RunProgress progress,
            TaskContext task) {
        this.options = options;
        this.input = input;
        this.engine = engine;
        this.requests = requests;
        this.progress = progress;
        this.task = task;
        window = Math.max(2, options.engine().maxBatch());
        batch = new ResultBatch(options.resultSchema(), allocator, ResultBatch.DEFAULT_FLUSH_BYTES);
    }

    @Override
    public boolean hasNext() {
        if (ready.isEmpty() && !closed) {
            fill();
        }
        return !ready.isEmpty();
    }

    @Override
    public Row next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        return ready.poll();
    }

    /** Works until a batch of results is ready, or everything is done. */
    private void fill() {
        try {
            while (!batch.isFull() && batch.rows() < BATCH_ROWS) {
                submitUpToWindow();
                if (inFlight.isEmpty() && finished.isEmpty()) {
                    break;
                }
                take();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new TaskKilledException("interrupted");
        }
        flush();
        if (ready.isEmpty()) {
            close();
        }
    }

    private void submitUpToWindow() throws InterruptedException {
        while (inFlight.size() + finished.size() < window && input.hasNext()) {
            Row row = input.next();
            Object[] values =
                    options.passThrough().stream().map(row::<Object>getAs).toArray();
            try {
                RowRequests.Submitted submitted = requests.submit(row, engine);
                RequestHandle<?> handle = submitted.handle();
                inFlight.add(handle);
                submitted.row().thenAccept(result -> finished.add(new Finished(result, values, handle)));
            } catch (PromptBuilder.RowException e) {
                finished.add(new Finished(ResultRow.failed(requests.id(row), e.getMessage()), values, null));
            }
        }
    }

    private void take() throws InterruptedException {
        Finished next = finished.poll(POLL_MILLIS, TimeUnit.MILLISECONDS);
        if (task != null && task.isInterrupted()) {
            throw new TaskKilledException("the task was killed");
        }
        if (next == null) {
            return;
        }
        inFlight.remove(next.handle);
        if (next.row.status().equals(ResultRow.ERROR)) {
            engine.checkAlive(); // a dead engine fails the task, so that no row is lost to it
        }
        batch.add(next.row);
        passThrough.add(next.passThrough);
        if (progress != null) {
            progress.add(next.row);
        }
    }

    /** Reads the batch back as Spark does, with the pass-through columns behind the id. */
    private void flush() {
        ArrowRows rows = new ArrowRows(batch.flush());
        for (int i = 0; i < batch.rows(); i++) {
            Object[] result = rows.values(i);
            Object[] passed = passThrough.get(i);
            Object[] all = new Object[result.length + passed.length];
            all[0] = result[0];
            System.arraycopy(passed, 0, all, 1, passed.length);
            System.arraycopy(result, 1, all, 1 + passed.length, result.length - 1);
            ready.add(RowFactory.create(all));
        }
        batch.clear();
        passThrough.clear();
    }

    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        inFlight.forEach(RequestHandle::cancel);
        batch.close();
        allocator.close();
    }
}
