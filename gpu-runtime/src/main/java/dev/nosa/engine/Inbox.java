package dev.nosa.engine;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Where submitters and the engine thread meet. Every method is safe from any thread; this is the one class that shares
 * changing state.
 *
 * <p>It knows every request from its submission to {@link #finished}, so that none is forgotten when the engine stops.
 */
final class Inbox {
    private final int capacity;
    private final Set<ActiveRequest> unfinished = new LinkedHashSet<>();
    private List<ActiveRequest> submitted = new ArrayList<>();
    private List<ActiveRequest> cancelled = new ArrayList<>();
    private int waiting;
    private boolean closed;
    private Throwable failure;

    /**
     * @param capacity requests that may wait for admission; more block their submitter
     */
    Inbox(int capacity) {
        this.capacity = capacity;
    }

    /** What came in since the last time, in order. */
    record Mail(List<ActiveRequest> submitted, List<ActiveRequest> cancelled) {}

    /** All at once, so that the engine sees them together. */
    synchronized void submit(List<? extends ActiveRequest> requests) throws InterruptedException {
        while (!closed && waiting >= capacity) {
            wait();
        }
        checkOpen();
        unfinished.addAll(requests);
        submitted.addAll(requests);
        waiting += requests.size();
        notifyAll();
    }

    synchronized void checkOpen() {
        if (failure != null) {
            throw new IllegalStateException("the engine failed: " + failure, failure);
        }
        if (closed) {
            throw new IllegalStateException("the engine is closed");
        }
    }

    synchronized void cancel(ActiveRequest request) {
        if (unfinished.contains(request)) {
            cancelled.add(request);
            notifyAll();
        }
    }

    synchronized Mail take() {
        Mail mail = new Mail(submitted, cancelled);
        submitted = new ArrayList<>();
        cancelled = new ArrayList<>();
        return mail;
    }

    /** Waits for mail or the end. */
    synchronized void await() throws InterruptedException {
        while (!closed && submitted.isEmpty() && cancelled.isEmpty()) {
            wait();
        }
    }

    /** Makes room for as many submitters. */
    synchronized void admitted(int requests) {
        waiting -= requests;
        notifyAll();
    }

    /** Forgets a request that has its result. */
    synchronized void finished(ActiveRequest request) {
        if (unfinished.remove(request) && !request.isAdmitted()) {
            waiting--;
            notifyAll();
        }
    }

    synchronized List<ActiveRequest> unfinished() {
        return List.copyOf(unfinished);
    }

    /** Requests that are submitted and not admitted. */
    synchronized int waiting() {
        return waiting;
    }

    synchronized boolean isClosed() {
        return closed;
    }

    synchronized void close() {
        closed = true;
        notifyAll();
    }

    /** Closes for a reason, which later submitters are told. The first one counts. */
    synchronized void fail(Throwable cause) {
        failure = failure == null ? cause : failure;
        close();
    }
}
