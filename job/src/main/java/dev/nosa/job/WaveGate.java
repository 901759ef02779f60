package dev.nosa.job;

import java.util.function.LongSupplier;

/**
 * Lets a wave begin when the one before it is half done: two that began together would end together, and the engines would wait
 * while the next two are read. Safe from any thread.
 */
final class WaveGate {
    private static final long POLL_MILLIS = 100;

    private final LongSupplier done;
    private long begun;
    private long newest;
    private int running;

    /** @param done documents that are done, of all waves that have begun; may be behind */
    WaveGate(LongSupplier done) {
        this.done = done;
    }

    /** Waits until a wave of so many documents may begin; at the latest until no other runs. */
    synchronized void enter(long documents) throws InterruptedException {
        while (running > 0 && done.getAsLong() < begun - newest / 2) {
            wait(POLL_MILLIS);
        }
        running++;
        begun += documents;
        newest = documents;
    }

    /** A wave has ended. */
    synchronized void leave() {
        running--;
        notifyAll();
    }
}
