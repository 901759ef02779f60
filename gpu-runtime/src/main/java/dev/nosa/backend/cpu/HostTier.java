package dev.nosa.backend.cpu;

import dev.nosa.cache.KvLayout;
import dev.nosa.tensor.BFloat16;
import java.nio.ShortBuffer;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.bytedeco.javacpp.ShortPointer;

/**
 * The host tier: K and V of finished blocks, by host block id, as F32 or BF16. A block holds every layer and KV head;
 * of each, K transposed (D, bs) and then V (bs, D), just as a slot holds them. Memory is taken in slabs at the first
 * write and kept until close. Blocks may be written and read by several workers at once, each (block, layer, head) by
 * one.
 */
final class HostTier implements AutoCloseable {
    private static final long SLAB_BYTES = 64L << 20;

    private final KvLayout layout;
    private final int headElements;
    private final int blocksPerSlab;
    private final int blocks;
    private final AtomicReferenceArray<Slab> slabs;

    /** Values in native memory, F32 or BF16. */
    private interface Slab extends AutoCloseable {
        void write(int at, NativeFloats source, int sourceIndex, int count, CpuWorker worker);

        void read(int at, NativeFloats target, int targetIndex, int count, CpuWorker worker);

        @Override
        void close();
    }

    HostTier(KvLayout layout, int blocks) {
        this.layout = layout;
        this.blocks = blocks;
        headElements = layout.slotElements();
        long slabBytes = Math.max(layout.hostBlockBytes(), SLAB_BYTES);
        blocksPerSlab = Math.toIntExact(Math.min(blocks, slabBytes / layout.hostBlockBytes()));
        slabs = new AtomicReferenceArray<>(blocks == 0 ? 0 : (blocks + blocksPerSlab - 1) / blocksPerSlab);
    }

    /** Bytes of K and V of one block, layer and head. */
    long headBytes() {
        return (long) headElements * layout.hostElementBytes();
    }

    void write(int block, int layer, int head, NativeFloats source, int sourceIndex, CpuWorker worker) {
        slab(block).write(offset(block, layer, head), source, sourceIndex, headElements, worker);
    }

    void read(int block, int layer, int head, NativeFloats target, int targetIndex, CpuWorker worker) {
        slab(block).read(offset(block, layer, head), target, targetIndex, headElements, worker);
    }

    private int offset(int block, int layer, int head) {
        int heads = layout.layers() * layout.kvHeads();
        return Math.multiplyExact(block % blocksPerSlab * heads + layer * layout.kvHeads() + head, headElements);
    }

    private Slab slab(int block) {
        Slab slab = slabs.get(block / blocksPerSlab);
        return slab == null ? allocate(block / blocksPerSlab) : slab;
    }

    private synchronized Slab allocate(int index) {
        if (slabs.get(index) == null) {
            int held = Math.min(blocksPerSlab, blocks - index * blocksPerSlab);
            int elements = Math.multiplyExact(held * layout.layers() * layout.kvHeads(), headElements);
            boolean f32 = layout.hostElementBytes() == Float.BYTES;
            slabs.set(index, f32 ? new F32Slab(elements) : new Bf16Slab(elements));
        }
        return slabs.get(index);
    }

    @Override
    public void close() {
        for (int i = 0; i < slabs.length(); i++) {
            Slab slab = slabs.getAndSet(i, null);
            if (slab != null) {
                slab.close();
            }
        }
    }

    private static final class F32Slab implements Slab {
        private final NativeFloats values;

        F32Slab(int elements) {
            values = new NativeFloats(elements);
        }

        @Override
        public void write(int at, NativeFloats source, int sourceIndex, int count, CpuWorker worker) {
            values.copyFrom(at, source, sourceIndex, count);
        }

        @Override
        public void read(int at, NativeFloats target, int targetIndex, int count, CpuWorker worker) {
            target.copyFrom(targetIndex, values, at, count);
        }

        @Override
        public void close() {
            values.close();
        }
    }

    private static final class Bf16Slab implements Slab {
        private final ShortPointer pointer;
        private final ShortBuffer values;

        Bf16Slab(int elements) {
            pointer = new ShortPointer(elements);
            values = pointer.asByteBuffer().asShortBuffer();
        }

        @Override
        public void write(int at, NativeFloats source, int sourceIndex, int count, CpuWorker worker) {
            float[] wide = worker.heap(count);
            short[] narrow = new short[count];
            source.get(sourceIndex, wide, 0, count);
            BFloat16.fromFloat(wide, narrow, count);
            values.put(at, narrow, 0, count);
        }

        @Override
        public void read(int at, NativeFloats target, int targetIndex, int count, CpuWorker worker) {
            float[] wide = worker.heap(count);
            short[] narrow = new short[count];
            values.get(at, narrow, 0, count);
            BFloat16.toFloat(narrow, wide, count);
            target.put(targetIndex, wide, 0, count);
        }

        @Override
        public void close() {
            pointer.deallocate();
        }
    }
}
