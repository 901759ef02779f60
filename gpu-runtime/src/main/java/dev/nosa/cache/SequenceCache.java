package dev.nosa.cache;

import dev.nosa.sparse.WindowMath;

/**
 * One sequence's place in both KV tiers: a row, and host blocks taken as it grows from what was reserved for it, so that
 * growing never fails. Forks are closed before their parent. Owned by the engine thread.
 */
public final class SequenceCache implements AutoCloseable {
    private final KvCacheManager manager;
    private final SequenceCache parent;
    private final SequenceCache lender;
    private final int row;
    private final int maxTokens;
    private final BlockTable blocks = new BlockTable();
    /** Of the sequence and its forks; a fork's may lie within its parent's. */
    private final MemoryDemand reserved;

    private MemoryDemand unused;
    private boolean closed;

    /**
     * @param parent whose blocks it shares; null if it is no fork
     * @param lender the parent, if the reservation lies within the parent's; null if it is the sequence's own
     */
    SequenceCache(
            KvCacheManager manager,
            SequenceCache parent,
            SequenceCache lender,
            int row,
            int maxTokens,
            MemoryDemand reserved) {
        this.manager = manager;
        this.parent = parent;
        this.lender = lender;
        this.row = row;
        this.maxTokens = maxTokens;
        this.reserved = reserved;
    }

    public int row() {
        return row;
    }

    /** Tokens that the sequence may grow to. */
    public int maxTokens() {
        return maxTokens;
    }

    public BlockTable blocks() {
        return blocks;
    }

    /** Takes host blocks until {@code tokens} tokens have one. */
    public void grow(int tokens) {
        if (closed || tokens > maxTokens) {
            throw new IllegalStateException("row " + row + " cannot grow to " + tokens + " tokens: "
                    + (closed ? "it is closed" : maxTokens + " were reserved"));
        }
        int needed = WindowMath.blocks(tokens, manager.layout().sparse());
        while (blocks.size() < needed) {
            blocks.add(manager.allocateBlock());
        }
    }

    SequenceCache parent() {
        return parent;
    }

    SequenceCache lender() {
        return lender;
    }

    MemoryDemand reserved() {
        return reserved;
    }

    /** What no fork draws on now, the sequence's own share left out. */
    MemoryDemand unused() {
        return unused;
    }

    void setUnused(MemoryDemand value) {
        unused = value;
    }

    /** Gives row, blocks and reservation back. The second call does nothing. */
    @Override
    public void close() {
        if (!closed) {
            manager.close(this);
            closed = true;
        }
    }
}
