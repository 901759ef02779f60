package dev.nosa.cache;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Who holds what on both KV tiers. A request is admitted with the memory of its whole life or not at all. Device bytes
 * are counted here and allocated by the backend. Owned by the engine thread.
 */
public final class KvCacheManager {
    private final KvLayout layout;
    private final MemoryBudget budget;
    private final HostBlockPool pool;
    private final RowPool rows;
    private final List<SequenceCache> live = new ArrayList<>();
    private MemoryDemand available;

    public KvCacheManager(KvLayout layout, MemoryBudget budget) {
        this.layout = layout;
        this.budget = budget;
        pool = new HostBlockPool(budget.hostBlocks());
        rows = new RowPool(budget.rows());
        available = budget.asDemand();
    }

    public KvLayout layout() {
        return layout;
    }

    public int hostBlocksFree() {
        return pool.free();
    }

    public int hostBlocksTotal() {
        return pool.total();
    }

    /** Whether {@code demand} fits beside everything that is reserved. */
    public boolean canAdmit(MemoryDemand demand) {
        return available.covers(demand);
    }

    /**
     * Reserves {@code demand} and opens a sequence on it; empty, and nothing changed, if it does not fit.
     *
     * @param demand of the sequence itself and of the forks that it has at one time
     */
    public Optional<SequenceCache> tryAdmit(MemoryDemand demand, int maxTokens) {
        MemoryDemand own = MemoryDemand.of(layout, maxTokens);
        if (!demand.covers(own)) {
            throw new IllegalArgumentException(demand + " does not hold the sequence itself, " + own);
        }
        if (!canAdmit(demand)) {
            return Optional.empty();
        }
        available = available.minus(demand);
        SequenceCache cache = open(null, null, maxTokens, demand);
        cache.setUnused(demand.minus(own));
        return Optional.of(cache);
    }

    /**
     * Opens a sequence that starts with {@code parent}'s first {@code length} tokens, within the parent's reservation:
     * finished blocks are shared, the others its own.
     */
    public SequenceCache fork(SequenceCache parent, int length, int maxTokens) {
        requireBlocks(parent, length);
        MemoryDemand demand = MemoryDemand.ofFork(layout, length, maxTokens);
        if (!parent.unused().covers(demand)) {
            throw new IllegalStateException(
                    "a fork of row " + parent.row() + " needs " + demand + ", reserved are " + parent.unused());
        }
        parent.setUnused(parent.unused().minus(demand));
        SequenceCache child = open(parent, parent, maxTokens, demand);
        shareBlocks(parent, child, length);
        return child;
    }

    /** Like {@link #fork}, with a reservation of its own beside the parent's; empty, and nothing changed, if it does not fit. */
    public Optional<SequenceCache> tryFork(SequenceCache parent, int length, int maxTokens) {
        requireBlocks(parent, length);
        MemoryDemand demand = MemoryDemand.ofFork(layout, length, maxTokens);
        if (!canAdmit(demand)) {
            return Optional.empty();
        }
        available = available.minus(demand);
        SequenceCache child = open(parent, null, maxTokens, demand);
        shareBlocks(parent, child, length);
        return Optional.of(child);
    }

    private void requireBlocks(SequenceCache parent, int length) {
        if (parent.blocks().size() < length / layout.sparse().blockSize()) {
            throw new IllegalStateException("row " + parent.row() + " has "
                    + parent.blocks().size() + " blocks, too few to fork " + length + " tokens");
        }
    }

    private void shareBlocks(SequenceCache parent, SequenceCache child, int length) {
        child.setUnused(new MemoryDemand(0, 0, 0));
        for (int i = 0; i < length / layout.sparse().blockSize(); i++) {
            pool.retain(parent.blocks().get(i));
            child.blocks().add(parent.blocks().get(i));
        }
    }

    /**
     * Recounts everything from the live sequences: free and held make the total on both tiers, every block has as many
     * references as tables name it, and what is reserved but not yet taken is free.
     */
    public void checkIntegrity() {
        checkReferences();
        MemoryDemand reserved = new MemoryDemand(0, 0, 0);
        for (SequenceCache cache : live) {
            check(rows.isHeld(cache.row()), "row " + cache.row() + " is used but not held");
            reserved = cache.lender() == null ? reserved.plus(cache.reserved()) : reserved;
        }
        int held = pool.countHeld();
        check(
                pool.free() + held == pool.total(),
                "host blocks: free " + pool.free() + " + held " + held + " != total " + pool.total());
        check(
                rows.free() + live.size() == rows.total(),
                "rows: free " + rows.free() + " + held " + live.size() + " != total " + rows.total());
        check(
                available.plus(reserved).equals(budget.asDemand()),
                "free " + available + " + reserved " + reserved + " != total " + budget);
        check(
                held <= reserved.hostBlocks(),
                "host blocks: held " + held + " > reserved " + reserved.hostBlocks() + " of " + pool.total());
        check(budget.asDemand().covers(reserved), "reserved " + reserved + " > total " + budget);
    }

    int allocateBlock() {
        return pool.allocate();
    }

    void close(SequenceCache cache) {
        for (SequenceCache other : live) {
            check(other.parent() != cache, "row " + cache.row() + " still has a fork, row " + other.row());
        }
        check(live.remove(cache), "row " + cache.row() + " is not open");
        for (int i = 0; i < cache.blocks().size(); i++) {
            pool.release(cache.blocks().get(i));
        }
        cache.blocks().clear();
        rows.release(cache.row());
        if (cache.lender() == null) {
            available = available.plus(cache.reserved());
        } else {
            cache.lender().setUnused(cache.lender().unused().plus(cache.reserved()));
        }
    }

    private SequenceCache open(SequenceCache parent, SequenceCache lender, int maxTokens, MemoryDemand reserved) {
        SequenceCache cache = new SequenceCache(this, parent, lender, rows.allocate(), maxTokens, reserved);
        live.add(cache);
        return cache;
    }

    private void checkReferences() {
        int[] counted = new int[pool.total()];
        for (SequenceCache cache : live) {
            for (int i = 0; i < cache.blocks().size(); i++) {
                counted[cache.blocks().get(i)]++;
            }
        }
        for (int block = 0; block < counted.length; block++) {
            if (counted[block] != pool.references(block)) {
                throw new IllegalStateException("KV cache: host block " + block + " has " + pool.references(block)
                        + " references, but " + counted[block] + " tables hold it");
            }
        }
    }

    private static void check(boolean holds, String message) {
        if (!holds) {
            throw new IllegalStateException("KV cache: " + message);
        }
    }
}
