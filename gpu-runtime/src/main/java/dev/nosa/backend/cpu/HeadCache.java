package dev.nosa.backend.cpu;

import dev.nosa.cache.KvLayout;
import dev.nosa.sparse.SlotTable;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.sparse.WindowMath;

/**
 * Device state of one sequence, layer and KV head: slots, the tail among them, compressed keys, importance. One worker
 * at a time.
 *
 * <p>A slot holds K transposed (D, bs), then V (bs, D). Compressed keys stand in groups of 64 windows, each transposed
 * (D, 64). Both are what an OpenBLAS product without transposition reads.
 */
final class HeadCache implements AutoCloseable {
    /** Windows in a group of compressed keys. */
    static final int GROUP = 64;

    private final KvLayout layout;
    private final SparseConfig sparse;
    private final SlotTable slots;
    private final NativeFloats kv;
    private final NativeFloats keys;
    private final float[] windowImportance;
    private final float[] importance;
    private final float[] recentKeys;
    private int windows;
    private int length;

    HeadCache(KvLayout layout, int maxTokens) {
        this.layout = layout;
        sparse = layout.sparse();
        int held = layout.slotsFor(maxTokens);
        int maxWindows = layout.mode().isSparse() ? WindowMath.windows(maxTokens, sparse) : 0;
        slots = new SlotTable(held, WindowMath.blocks(maxTokens, sparse));
        kv = new NativeFloats((long) held * layout.slotElements());
        boolean compress = layout.mode().usesQueryScores();
        keys = new NativeFloats(compress ? (long) (maxWindows + GROUP - 1) / GROUP * GROUP * layout.headDim() : 0);
        recentKeys = new float[compress ? sparse.window() * layout.headDim() : 0];
        windowImportance = new float[layout.mode().usesImportance() ? maxWindows : 0];
        importance = new float[layout.mode().usesImportance() ? maxTokens : 0];
    }

    SlotTable slots() {
        return slots;
    }

    NativeFloats kv() {
        return kv;
    }

    NativeFloats keys() {
        return keys;
    }

    float[] windowImportance() {
        return windowImportance;
    }

    /** cis of each token. */
    float[] importance() {
        return importance;
    }

    /** Index of a resident block's K in {@link #kv}. */
    int keyOffset(int block) {
        return slots.slot(block) * layout.slotElements();
    }

    /** Appends one token: k and v stand in {@code row} at the given offsets, k after the rotary embedding. */
    void append(int position, float[] row, int kAt, int vAt, float cis) {
        if (position != length) {
            throw new IllegalStateException("position " + position + " appended to a cache of " + length + " tokens");
        }
        length++;
        int bs = sparse.blockSize();
        int d = layout.headDim();
        int block = position / bs;
        int t = position % bs;
        int key = t == 0 ? slots.openTail(block) * layout.slotElements() : keyOffset(block);
        for (int i = 0; i < d; i++) {
            kv.put(key + i * bs + t, row[kAt + i]);
        }
        kv.put(key + layout.blockElements() + t * d, row, vAt, d);
        if (layout.mode().usesImportance()) {
            importance[position] = cis;
        }
        if (layout.mode().usesQueryScores()) {
            System.arraycopy(row, kAt, recentKeys, position % sparse.window() * d, d);
        }
        if (layout.mode().isSparse() && WindowMath.windows(position + 1, sparse) > windows) {
            completeWindow(position + 1 - sparse.window());
        }
    }

    /** Adds the window of tokens [first, first + w): mean key and mean importance, in order of position. */
    private void completeWindow(int first) {
        int w = sparse.window();
        int d = layout.headDim();
        if (layout.mode().usesQueryScores()) {
            int at = windows / GROUP * GROUP * d + windows % GROUP;
            for (int i = 0; i < d; i++) {
                float sum = 0;
                for (int t = first; t < first + w; t++) {
                    sum += recentKeys[t % w * d + i];
                }
                keys.put(at + i * GROUP, sum / w);
            }
        }
        if (layout.mode().usesImportance()) {
            float sum = 0;
            for (int t = first; t < first + w; t++) {
                sum += importance[t];
            }
            windowImportance[windows] = sum / w;
        }
        windows++;
    }

    /** Takes over all tokens of {@code parent}; of its blocks only the unfinished one. */
    void forkFrom(HeadCache parent, int tokens) {
        if (parent.length != tokens) {
            throw new IllegalStateException("fork after " + tokens + " tokens of a cache of " + parent.length);
        }
        length = tokens;
        windows = parent.windows;
        if (keys.size() > 0) {
            int groups = (windows + GROUP - 1) / GROUP;
            keys.copyFrom(0, parent.keys, 0, groups * GROUP * layout.headDim());
            System.arraycopy(parent.recentKeys, 0, recentKeys, 0, recentKeys.length);
        }
        if (importance.length > 0) {
            System.arraycopy(parent.importance, 0, importance, 0, length);
            System.arraycopy(parent.windowImportance, 0, windowImportance, 0, windows);
        }
        if (length % sparse.blockSize() != 0) {
            int tail = length / sparse.blockSize();
            kv.copyFrom(
                    slots.openTail(tail) * layout.slotElements(),
                    parent.kv,
                    parent.keyOffset(tail),
                    layout.slotElements());
        }
    }

    @Override
    public void close() {
        kv.close();
        keys.close();
    }
}
