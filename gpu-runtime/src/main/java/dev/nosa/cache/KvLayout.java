package dev.nosa.cache;

import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.sparse.WindowMath;

/**
 * Shapes and byte sizes of both KV tiers.
 *
 * @param layers decoder layers
 * @param kvHeads KV heads of a layer
 * @param headDim values of a key
 * @param slots blocks that the device holds for one sequence, layer and KV head; ignored by mode full, which holds all
 * @param hostElementBytes 2 (BF16) or 4 (F32), of K and V on the host
 * @param deviceElementBytes likewise on the device
 * @param paged whether the device tier consists of pages, each as large as a host block: a slot takes one, and {@link
 *     #stateTokens} tokens' compressed keys and importance take one
 */
public record KvLayout(
        int layers,
        int kvHeads,
        int headDim,
        AttentionMode mode,
        SparseConfig sparse,
        int slots,
        int hostElementBytes,
        int deviceElementBytes,
        boolean paged) {

    private static final int FLOAT_BYTES = 4;

    /** Without pages. */
    public KvLayout(
            int layers,
            int kvHeads,
            int headDim,
            AttentionMode mode,
            SparseConfig sparse,
            int slots,
            int hostElementBytes,
            int deviceElementBytes) {
        this(layers, kvHeads, headDim, mode, sparse, slots, hostElementBytes, deviceElementBytes, false);
    }

    public KvLayout {
        if (mode.isSparse() && slots < sparse.maxBudget() + 1) {
            throw new IllegalArgumentException("slots = " + slots + ": a step attends up to " + sparse.maxBudget()
                    + " blocks, so at least " + (sparse.maxBudget() + 1) + " slots are needed");
        }
    }

    /** The same with another number of slots. */
    public KvLayout withSlots(int count) {
        return new KvLayout(layers, kvHeads, headDim, mode, sparse, count, hostElementBytes, deviceElementBytes, paged);
    }

    /** Values of K (or V) in one block of one layer and KV head. */
    public int blockElements() {
        return Math.multiplyExact(sparse.blockSize(), headDim);
    }

    /** Values of K and V in one block of one layer and KV head. */
    public int slotElements() {
        return Math.multiplyExact(2, blockElements());
    }

    /** Bytes of one host block: K and V of every layer and KV head. */
    public long hostBlockBytes() {
        return 2L * layers * kvHeads * blockElements() * hostElementBytes;
    }

    /** Those of one layer and KV head. */
    public long headBlockBytes() {
        return hostBlockBytes() / layers / kvHeads;
    }

    /** Slots of one layer and KV head for a sequence of at most {@code maxTokens} tokens. */
    public int slotsFor(int maxTokens) {
        int blocks = WindowMath.blocks(maxTokens, sparse);
        return mode.isSparse() ? Math.min(slots, blocks) : blocks;
    }

    /**
     * Tokens whose compressed keys and importance fit into one page, a multiple of the block size. For each layer and KV head,
     * the page has room for one block's K and V.
     */
    public int stateTokens() {
        int window = headDim * deviceElementBytes + FLOAT_BYTES;
        long perBlock = (long) sparse.blockSize() / sparse.stride() * window + sparse.blockSize() * FLOAT_BYTES;
        return Math.toIntExact((long) slotElements() * deviceElementBytes / perBlock * sparse.blockSize());
    }

    /** Pages for the compressed keys and importance of {@code maxTokens} tokens. */
    public int statePages(int maxTokens) {
        return mode.isSparse() ? (maxTokens + stateTokens() - 1) / stateTokens() : 0;
    }

    /** Whether a sequence of at most {@code maxTokens} tokens has more blocks than slots, and so needs the host tier. */
    public boolean offloads(int maxTokens) {
        return slotsFor(maxTokens) < WindowMath.blocks(maxTokens, sparse);
    }

    /** Device bytes of a sequence of at most {@code maxTokens} tokens: slots, compressed keys and importance. */
    public long deviceBytes(int maxTokens) {
        if (paged) {
            return (slotsFor(maxTokens) + statePages(maxTokens)) * hostBlockBytes();
        }
        long slotBytes = 2L * slotsFor(maxTokens) * blockElements() * deviceElementBytes;
        long windows = WindowMath.windows(maxTokens, sparse);
        long compressed = mode.usesQueryScores() ? windows * headDim * FLOAT_BYTES : 0;
        long importance = mode.usesImportance() ? (windows + maxTokens) * FLOAT_BYTES : 0;
        return layers * (long) kvHeads * (slotBytes + compressed + importance);
    }

    /** Host bytes of a sequence of at most {@code maxTokens} tokens. */
    public long hostBytes(int maxTokens) {
        return WindowMath.blocks(maxTokens, sparse) * hostBlockBytes();
    }
}
