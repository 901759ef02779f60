package dev.nosa.backend.cpu;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/**
 * Worker threads that share the loops of one caller. The caller is worker 0 and works too; {@link #run} returns when
 * all tasks are done. Which worker takes which task is not fixed, so a task's result must not depend on it.
 */
final class CpuThreads implements AutoCloseable {
    /** Long enough to bridge the gaps between a layer's operations, short enough not to be seen in an idle engine. */
    private static final int SPINS = 20_000;

    private static final int ROWS_OF_ONE = 16;

    /** One piece of a loop. */
    interface Task {
        void run(int worker, int index);
    }

    private record Loop(Task task, int count, AtomicInteger next, AtomicInteger done) {}

    private final Thread[] helpers;
    private volatile Loop loop;
    private volatile RuntimeException failure;
    private volatile boolean closed;

    CpuThreads(int threads) {
        helpers = new Thread[threads - 1];
        for (int i = 0; i < helpers.length; i++) {
            int worker = i + 1;
            helpers[i] = new Thread(() -> helperLoop(worker), "nosa-cpu-" + worker);
            helpers[i].setDaemon(true);
            helpers[i].start();
        }
    }

    /** All workers, the caller included. */
    int size() {
        return helpers.length + 1;
    }

    /** Like {@link #run} for rows of which each takes about a microsecond: a decode batch's few are not worth sharing. */
    void runRows(int rows, Task task) {
        if (rows > ROWS_OF_ONE) {
            run(rows, task);
        } else {
            for (int i = 0; i < rows; i++) {
                task.run(0, i);
            }
        }
    }

    /** Runs tasks 0 to count - 1; the first failure is thrown once all have ended. */
    void run(int count, Task task) {
        if (count == 0) {
            return;
        }
        Loop mine = new Loop(task, count, new AtomicInteger(), new AtomicInteger());
        if (count > 1 && helpers.length > 0) {
            loop = mine;
            for (int i = 0; i < Math.min(helpers.length, count - 1); i++) {
                LockSupport.unpark(helpers[i]);
            }
        }
        work(mine, 0);
        while (mine.done.get() < count) {
            Thread.onSpinWait();
        }
        loop = null;
        RuntimeException thrown = failure;
        if (thrown != null) {
            failure = null;
            throw thrown;
        }
    }

    private void work(Loop mine, int worker) {
        for (int i = mine.next.getAndIncrement(); i < mine.count; i = mine.next.getAndIncrement()) {
            try {
                mine.task.run(worker, i);
            } catch (RuntimeException e) {
                failure = e;
            } catch (Error e) { // out of memory in a helper must reach the caller
                failure = new IllegalStateException("a CPU worker failed: " + e, e);
            } finally {
                mine.done.incrementAndGet();
            }
        }
    }

    private void helperLoop(int worker) {
        Loop last = null;
        int idle = 0;
        while (!closed) {
            Loop current = loop;
            if (current != null && current != last) {
                last = current;
                work(current, worker);
                idle = 0;
            } else if (idle++ < SPINS) {
                Thread.onSpinWait();
            } else {
                last = null;
                LockSupport.park(this);
                idle = 0;
            }
        }
    }

    @Override
    public void close() {
        closed = true;
        for (Thread helper : helpers) {
            LockSupport.unpark(helper);
        }
    }
}
