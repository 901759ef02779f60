package dev.nosa.schedule;

import dev.nosa.cache.KvLayout;
import dev.nosa.cache.MemoryBudget;
import dev.nosa.cache.MemoryDemand;
import dev.nosa.sparse.WindowMath;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Turns bytes into what may run at once. */
public final class MemoryPlanner {
    private static final Logger log = LoggerFactory.getLogger(MemoryPlanner.class);

    private static final double HOST_SHARE = 0.4;
    private static final double DEVICE_SHARE = 0.2;

    private final KvLayout layout;
    private final int maxContext;
    private final int maxBatch;

    /**
     * @param maxContext longest sequence in tokens
     * @param maxBatch requests that run at once
     */
    public MemoryPlanner(KvLayout layout, int maxContext, int maxBatch) {
        this.layout = layout;
        this.maxContext = maxContext;
        this.maxBatch = maxBatch;
    }

    /**
     * The budget, which is logged too.
     *
     * @param hostBytes of the host tier; 0: 40 % of {@code heapBytes}
     * @param deviceBytes of the device tier; 0: 20 % of {@code heapBytes}
     * @param heapBytes the JVM's largest heap: on CPU both tiers live there
     */
    public MemoryBudget plan(long hostBytes, long deviceBytes, long heapBytes) {
        long host = hostBytes > 0 ? hostBytes : (long) (heapBytes * HOST_SHARE);
        long device = deviceBytes > 0 ? deviceBytes : (long) (heapBytes * DEVICE_SHARE);
        long blockBytes = layout.hostBlockBytes();
        if (host < blockBytes) {
            throw new IllegalArgumentException("host-kv = " + host + ": one block of "
                    + layout.sparse().blockSize() + " tokens takes " + blockBytes
                    + " bytes; raise --host-kv" + heapHint(hostBytes));
        }
        long smallest = layout.deviceBytes(1);
        if (device < smallest) {
            throw new IllegalArgumentException("device-kv = " + device + ": the shortest sequence takes " + smallest
                    + " bytes; raise --device-kv" + heapHint(deviceBytes));
        }
        int blocks = (int) Math.min(Math.min(host / blockBytes, mostBlocks()), Integer.MAX_VALUE);
        // A scoring request holds its prompt and one continuation.
        MemoryBudget budget = new MemoryBudget(Math.multiplyExact(2, maxBatch), blocks, device);
        log(budget);
        return budget;
    }

    /** More than a full batch of the longest requests can hold is of no use. */
    private long mostBlocks() {
        // A continuation that starts within a block has a copy of that block beside its prompt's.
        return maxBatch * (WindowMath.blocks(maxContext, layout.sparse()) + 1L);
    }

    private void log(MemoryBudget budget) {
        MemoryDemand longest = MemoryDemand.of(layout, maxContext);
        long together =
                Math.min(budget.hostBlocks() / longest.hostBlocks(), budget.deviceBytes() / longest.deviceBytes());
        log.info(
                "KV plan: host {} blocks of {} bytes ({} MiB), device {} MiB, {} slots a head; up to {} requests at once,"
                        + " {} of the longest ({} tokens: {} blocks, {} device MiB)",
                budget.hostBlocks(),
                layout.hostBlockBytes(),
                (budget.hostBlocks() * layout.hostBlockBytes()) >> 20,
                budget.deviceBytes() >> 20,
                layout.slotsFor(maxContext),
                maxBatch,
                Math.min(together, maxBatch),
                maxContext,
                longest.hostBlocks(),
                longest.deviceBytes() >> 20);
    }

    private static String heapHint(long configured) {
        return configured > 0 ? "" : " or the JVM's heap (-Xmx)";
    }
}
