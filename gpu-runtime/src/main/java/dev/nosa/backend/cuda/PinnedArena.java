package dev.nosa.backend.cuda;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The host tier's memory: blocks of equal size in pinned slabs of at most 1 GiB, which a thread of its own allocates,
 * since pinning takes about a second for each. Block {@code n} lies in slab {@code n / blocksPerSlab()}. Safe from any
 * thread, but for {@link #close}, which comes last.
 */
final class PinnedArena implements AutoCloseable {
    static final long MAX_SLAB_BYTES = 1L << 30;

    private static final Logger log = LoggerFactory.getLogger(PinnedArena.class);
    private static final long LOG_NANOS = TimeUnit.SECONDS.toNanos(10);

    private final long blockBytes;
    private final int blocks;
    private final int blocksPerSlab;
    private final Allocator allocator;
    private final List<CompletableFuture<PinnedBuffer>> slabs = new ArrayList<>();
    private final Thread thread = new Thread(this::allocateAll, "nosa-pinned-memory");
    private volatile boolean closed;

    /** Pins memory, called on the arena's thread only. */
    interface Allocator {
        PinnedBuffer allocate(long bytes);
    }

    private PinnedArena(long blockBytes, int blocks, Allocator allocator) {
        if (blockBytes < 1 || blockBytes > MAX_SLAB_BYTES || blocks < 0) {
            throw new IllegalArgumentException(blocks + " host blocks of " + blockBytes
                    + " bytes: a block takes from 1 to " + MAX_SLAB_BYTES + " bytes");
        }
        this.blockBytes = blockBytes;
        this.blocks = blocks;
        this.allocator = allocator;
        blocksPerSlab = (int) Math.max(1, Math.min(blocks, MAX_SLAB_BYTES / blockBytes));
        for (long first = 0; first < blocks; first += blocksPerSlab) {
            slabs.add(new CompletableFuture<>());
        }
        thread.setDaemon(true);
    }

    /**
     * Begins to pin {@code blocks * blockBytes} bytes.
     *
     * @throws IllegalArgumentException if the container has not that much; the message has the numbers
     */
    static PinnedArena start(CudaContext context, long blockBytes, int blocks) {
        PinnedLimit.ofThisProcess().check(Math.multiplyExact(blockBytes, (long) blocks));
        return start(blockBytes, blocks, bytes -> {
            context.makeCurrent();
            return PinnedBuffer.allocate(context, bytes);
        });
    }

    static PinnedArena start(long blockBytes, int blocks, Allocator allocator) {
        PinnedArena arena = new PinnedArena(blockBytes, blocks, allocator);
        arena.thread.start();
        return arena;
    }

    /** Of every slab but the last, which may have fewer. */
    int blocksPerSlab() {
        return blocksPerSlab;
    }

    int slabs() {
        return slabs.size();
    }

    /** All of them, pinned or not yet. */
    long bytes() {
        return blockBytes * blocks;
    }

    /**
     * Waits until a slab is pinned; slabs are pinned in order.
     *
     * @throws IllegalStateException if the memory ran out before it; the message says how much was pinned
     */
    PinnedBuffer slab(int index) {
        try {
            return slabs.get(index).join();
        } catch (CompletionException e) {
            throw new IllegalStateException(e.getCause().getMessage(), e.getCause());
        }
    }

    boolean isClosed() {
        return closed;
    }

    private void allocateAll() {
        long start = System.nanoTime();
        long logged = start;
        long pinned = 0;
        for (int i = 0; i < slabs.size(); i++) {
            long bytes = blockBytes * Math.min(blocksPerSlab, blocks - i * blocksPerSlab);
            try {
                if (closed) {
                    throw new IllegalStateException("the host tier is closed");
                }
                slabs.get(i).complete(allocator.allocate(bytes));
            } catch (RuntimeException | Error e) { // whoever waits has to know
                fail(i, pinned, e);
                return;
            }
            pinned += bytes;
            if (System.nanoTime() - logged > LOG_NANOS) {
                logged = System.nanoTime();
                log.info("Pinned {} of {} of host memory", Bytes.text(pinned), Bytes.text(bytes()));
            }
        }
        long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
        log.info("Pinned {} of host memory in {} slabs in {} ms", Bytes.text(pinned), slabs.size(), millis);
    }

    private void fail(int first, long pinned, Throwable cause) {
        String message = String.format(
                "host-kv: %s of %s of host memory were pinned, then it failed: %s; take a smaller --host-kv, or give the"
                        + " machine or container more memory",
                Bytes.text(pinned), Bytes.text(bytes()), cause.getMessage());
        if (!closed) {
            log.error(message);
        }
        IllegalStateException failure = new IllegalStateException(message, cause);
        slabs.subList(first, slabs.size()).forEach(slab -> slab.completeExceptionally(failure));
    }

    /** Waits for the slab that is being pinned, and frees all. */
    @Override
    public void close() {
        closed = true;
        for (CompletableFuture<PinnedBuffer> slab : slabs) {
            try {
                slab.join().close();
            } catch (CompletionException e) {
                return; // neither this one nor those after it were pinned
            }
        }
    }
}
