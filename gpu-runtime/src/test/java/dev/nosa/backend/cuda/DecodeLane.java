package dev.nosa.backend.cuda;

import dev.nosa.sparse.SlotTable;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.sparse.WindowMath;
import java.util.Arrays;
import java.util.Random;

/** One sequence of a decode test: its tokens' K, V and importance by layer and KV head, and which block lies in which slot. */
final class DecodeLane {
    private static final int BLOCK = KernelShape.BLOCK;

    final int row;
    final int slots;
    /** Of the next token. */
    int position;

    private final float[][][][] keys;
    private final float[][][][] values;
    private final float[][][] importance;
    private final SlotTable[][] tables;

    /** A prompt of {@code position} tokens, of which nothing is known yet. */
    DecodeLane(KvFixture kv, KernelShape shape, int row, int slots, int position) {
        this.row = row;
        this.slots = slots;
        this.position = position;
        int tokens = kv.maxBlocks * BLOCK;
        keys = new float[KernelShape.LAYERS][shape.kvHeads][tokens][];
        values = new float[KernelShape.LAYERS][shape.kvHeads][tokens][];
        importance = new float[KernelShape.LAYERS][shape.kvHeads][tokens];
        tables = new SlotTable[KernelShape.LAYERS][shape.kvHeads];
        for (SlotTable[] layer : tables) {
            for (int head = 0; head < shape.kvHeads; head++) {
                layer[head] = new SlotTable(slots, kv.maxBlocks);
                for (int b = firstInSlots(); b < blocks(); b++) {
                    layer[head].openTail(b);
                }
            }
        }
    }

    /** Gives the prompt's tokens random contents, and writes them into the fixture as prefill leaves them. */
    void fill(KvFixture kv, Random random) {
        boolean biased = kv.layout.mode().usesImportance();
        for (int layer = 0; layer < keys.length; layer++) {
            for (int head = 0; head < keys[layer].length; head++) {
                for (int t = 0; t < position; t++) {
                    float[] key = KernelBench.random(random, kv.layout.headDim(), 1);
                    float[] value = KernelBench.random(random, kv.layout.headDim(), 1);
                    takeIn(layer, head, t, key, value, biased ? 2 * random.nextFloat() : 0);
                }
                store(kv, layer, head);
            }
        }
    }

    private int blocks() {
        return (position + BLOCK - 1) / BLOCK;
    }

    /** The last blocks lie in slots 0, 1, ... at first. */
    private int firstInSlots() {
        return Math.max(0, blocks() - slots);
    }

    private void store(KvFixture kv, int layer, int head) {
        for (int t = 0; t < position; t++) {
            int block = t / BLOCK;
            float[] key = key(layer, head, t);
            float[] value = value(layer, head, t);
            if (block < position / BLOCK) {
                kv.setHostToken(row, block, layer, head, t % BLOCK, key, value);
            }
            if (block >= firstInSlots()) {
                kv.setToken(row, block - firstInSlots(), layer, head, t % BLOCK, key, value);
            }
            if (kv.layout.mode().usesImportance()) {
                kv.setImportance(row, layer, head, t, importance(layer, head, t));
            }
        }
        SparseConfig sparse = kv.layout.sparse();
        for (int w = 0; kv.layout.mode().isSparse() && w < WindowMath.windows(position, sparse); w++) {
            if (kv.layout.mode().usesQueryScores()) {
                kv.setWindowKey(row, layer, head, w, windowKey(sparse, layer, head, w));
            }
            if (kv.layout.mode().usesImportance()) {
                kv.setWindowImportance(row, layer, head, w, windowImportance(sparse, layer, head, w));
            }
        }
    }

    /** Fills the slot tables; after the fixture's upload. */
    void initSlots(KvFixture kv) {
        kv.initSlots(row, slots, firstInSlots(), blocks() - firstInSlots());
    }

    void takeIn(int layer, int head, int token, float[] key, float[] value, float cis) {
        keys[layer][head][token] = key;
        values[layer][head][token] = value;
        importance[layer][head][token] = cis;
    }

    float[] key(int layer, int head, int token) {
        return keys[layer][head][token];
    }

    float[] value(int layer, int head, int token) {
        return values[layer][head][token];
    }

    float importance(int layer, int head, int token) {
        return importance[layer][head][token];
    }

    float[] windowKey(SparseConfig sparse, int layer, int head, int window) {
        return KernelReference.windowKey(sparse, window, t -> key(layer, head, t));
    }

    float windowImportance(SparseConfig sparse, int layer, int head, int window) {
        return KernelReference.windowImportance(sparse, window, t -> importance(layer, head, t));
    }

    SlotTable table(int layer, int head) {
        return tables[layer][head];
    }

    /** The slot table as the kernels have it: block of each slot, or -1. */
    int[] slotBlocks(int layer, int head, int blocks) {
        int[] expected = new int[slots];
        Arrays.fill(expected, -1);
        for (int b = 0; b < blocks; b++) {
            if (tables[layer][head].isResident(b)) {
                expected[tables[layer][head].slot(b)] = b;
            }
        }
        return expected;
    }
}
