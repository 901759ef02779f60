package dev.nosa.backend.cuda;

import dev.nosa.cache.KvLayout;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.WindowMath;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** A prompt of random projections in one layer, slice by slice, with all that the prefill kernels leave of each. */
final class PrefillSlices {
    /** Another row has pages before and behind this one's. */
    private static final int ROW = 1;

    private static final int LAYER = 1;
    private static final int TILE_ROWS = 128;
    private static final int WARPS = 4;

    final KernelShape shape;
    final AttentionMode mode;
    final float[] a;
    final float[] delta;
    final float[] bias;
    private final KernelBench bench;
    private final Random random;
    private final KvFixture kv;
    private final DeviceBuffer frequencies;
    private final List<DeviceBuffer> importanceWeights = new ArrayList<>();

    PrefillSlices(KernelBench bench, KernelShape shape, AttentionMode mode) {
        this(bench, shape, mode, shape.maxTokens(), WindowMath.blocks(shape.maxTokens(), shape.sparse));
    }

    private PrefillSlices(KernelBench bench, KernelShape shape, AttentionMode mode, int maxTokens, int pages) {
        this.bench = bench;
        this.shape = shape;
        this.mode = mode;
        random = new Random(100 + shape.ordinal() * 10L + mode.ordinal());
        KvLayout layout = shape.layout(mode);
        kv = new KvFixture(bench, shape, layout, maxTokens, false, 2, pages);
        frequencies = bench.floats(shape.frequencies());
        a = KernelBench.random(random, shape.kvHeads, 1);
        delta = KernelBench.random(random, shape.kvHeads * shape.kvHeads * shape.headDim, 0.1);
        bias = KernelBench.random(random, shape.kvHeads, 1);
        for (float[] weight : List.of(a, delta, bias)) {
            importanceWeights.add(bench.bf16(weight));
        }
    }

    /** A prompt that has state pages alone, for {@link #select}. */
    static PrefillSlices forSelection(KernelBench bench, KernelShape shape, AttentionMode mode, int tokens) {
        return new PrefillSlices(bench, shape, mode, tokens, 1);
    }

    /** A block of a tile's list. */
    record Listed(int block, int page, long importance, List<Integer> masks) {}

    /** What is known of a slice: tensors as the kernels left them. */
    final class Slice {
        private final int start;
        private final int count;
        private final int words;
        private float[] qkv;
        private float[] queries;
        private float[] out;
        private float[] scores;
        private int[] bitmaps;
        private int[] lists;
        private int[] masks;
        private int[] lengths;

        private Slice(int start, int count) {
            this.start = start;
            this.count = count;
            words = (WindowMath.blocks(end(), shape.sparse) + 31) / 32;
        }

        int start() {
            return start;
        }

        int count() {
            return count;
        }

        int end() {
            return start + count;
        }

        private int blocksPad() {
            return 32 * words;
        }

        /** A head of the stacked projection: queries, then keys, then values. */
        float[] projected(int token, int head) {
            return part(qkv, token * shape.qkvWidth() / shape.headDim + head);
        }

        float[] query(int token, int head) {
            return part(queries, token * shape.heads() + head);
        }

        float[] attended(int token, int head) {
            return part(out, token * shape.heads() + head);
        }

        private float[] part(float[] values, int head) {
            return Arrays.copyOfRange(values, head * shape.headDim, (head + 1) * shape.headDim);
        }

        float score(int token, int head, int block) {
            return scores[(token * shape.kvHeads + head) * blocksPad() + block];
        }

        int[] selected(int token, int head) {
            int at = (token * shape.kvHeads + head) * words;
            return IntStream.range(0, blocksPad())
                    .filter(b -> (bitmaps[at + b / 32] >>> b % 32 & 1) != 0)
                    .toArray();
        }

        List<Listed> listed(int tile, int head) {
            int list = tile * shape.kvHeads + head;
            List<Listed> all = new ArrayList<>();
            for (int n = list * blocksPad(); n < list * blocksPad() + lengths[list]; n++) {
                long importance = (lists[4 * n + 2] & 0xffffffffL) | (long) lists[4 * n + 3] << 32;
                List<Integer> own = Arrays.stream(masks, WARPS * n, WARPS * n + WARPS)
                        .boxed()
                        .toList();
                all.add(new Listed(lists[4 * n], lists[4 * n + 1], importance, own));
            }
            return all;
        }
    }

    /** Runs all kernels for tokens [start, start + count). */
    Slice run(int start, int count) {
        Slice slice = new Slice(start, count);
        slice.qkv = KernelBench.random(random, count * shape.qkvWidth(), 1);
        DeviceBuffer queries = bench.unwritten(2L * count * shape.heads() * shape.headDim);
        append(slice, bench.bf16(slice.qkv), queries);
        slice.queries = KernelBench.readBf16(queries);
        DeviceBuffer scores = bench.unwritten(4L * count * shape.kvHeads * slice.blocksPad());
        if (mode.usesQueryScores()) {
            args(slice).putPointer(queries).putPointer(scores).putInt(slice.blocksPad());
            int[] grid = KernelBench.grid(ceilDiv(count, shape.group > 8 ? 8 : 16), shape.kvHeads);
            int shared = 3 * 64 * shape.headDim * 2 + 8 * kv.statePageCount();
            bench.launch(shape.kernel("prefill_scores"), grid, 128, shared);
        }
        attend(slice, queries, scores);
        kv.download();
        return slice;
    }

    private KernelArgs args(Slice slice) {
        return kv.args().putInt(LAYER).putInt(ROW).putInt(slice.start()).putInt(slice.count());
    }

    private void append(Slice slice, DeviceBuffer qkv, DeviceBuffer queries) {
        KernelArgs args = args(slice).putPointer(qkv).putPointer(frequencies);
        args.putFloat(KernelShape.ROPE_SCALE);
        importanceWeights.forEach(weight -> args.putPointer(mode.usesImportance() ? weight.address() : 0));
        args.putPointer(queries);
        bench.launch(shape.kernel("prefill_append"), KernelBench.grid(ceilDiv(slice.count(), 4)), 256, 0);
        int windows = WindowMath.windows(slice.end(), shape.sparse) - WindowMath.windows(slice.start(), shape.sparse);
        if (mode.isSparse() && windows > 0) {
            args(slice);
            int[] grid = KernelBench.grid(ceilDiv(windows, 4), shape.kvHeads);
            bench.launch("prefill_compress", grid, 2 * shape.headDim, 0);
        }
    }

    /** Runs prefill_select alone, with scores and importance of few values, both in the result. */
    Slice select(int start, int count) {
        Slice slice = new Slice(start, count);
        float[] scores = new float[count * shape.kvHeads * slice.blocksPad()];
        for (int i = 0; i < scores.length; i++) {
            scores[i] = random.nextInt(20) / 8f;
        }
        kv.download();
        for (int head = 0; head < shape.kvHeads; head++) {
            for (int w = 0; w < WindowMath.windows(slice.end(), shape.sparse); w++) {
                float value = random.nextInt(9) == 0 ? -0f : (random.nextInt(9) - 4) / 4f;
                kv.setWindowImportance(ROW, LAYER, head, w, value);
            }
        }
        kv.upload();
        slice.scores = scores;
        select(slice, bench.floats(scores));
        return slice;
    }

    private DeviceBuffer select(Slice slice, DeviceBuffer scores) {
        DeviceBuffer bitmaps = bench.unwritten(4L * slice.count() * shape.kvHeads * slice.words);
        args(slice)
                .putPointer(mode.usesQueryScores() ? scores.address() : 0)
                .putInt(slice.blocksPad())
                .putPointer(bitmaps)
                .putInt(slice.words);
        int[] grid = KernelBench.grid(ceilDiv(slice.count(), 32), shape.kvHeads);
        bench.launch("prefill_select", grid, 256, 128 * slice.words);
        slice.bitmaps = KernelBench.readInts(bitmaps);
        return bitmaps;
    }

    private void attend(Slice slice, DeviceBuffer queries, DeviceBuffer scores) {
        int tiles = ceilDiv(slice.count(), TILE_ROWS / shape.group);
        long lists = (long) tiles * shape.kvHeads;
        int[] grid = KernelBench.grid(tiles, shape.kvHeads);
        DeviceBuffer listed = bench.unwritten(16 * lists * slice.blocksPad());
        DeviceBuffer masks = bench.unwritten(16 * lists * slice.blocksPad());
        DeviceBuffer lengths = bench.unwritten(4 * lists);
        if (mode.isSparse()) {
            slice.scores = KernelBench.readFloats(scores);
            DeviceBuffer bitmaps = select(slice, scores);
            KernelArgs args = args(slice).putPointer(bitmaps).putInt(slice.words);
            args.putPointer(listed).putPointer(masks).putPointer(lengths).putInt(slice.blocksPad());
            bench.launch("prefill_union", grid, 128, 0);
            slice.lists = KernelBench.readInts(listed);
            slice.masks = KernelBench.readInts(masks);
            slice.lengths = KernelBench.readInts(lengths);
        }
        DeviceBuffer out = bench.unwritten(queries.bytes());
        KernelArgs args = args(slice).putPointer(queries).putPointer(listed).putPointer(masks);
        args.putPointer(lengths).putInt(slice.blocksPad()).putPointer(out);
        bench.launch(shape.kernel("prefill_attention"), grid, 128, 3 * 128 * shape.headDim * 2 + 512);
        slice.out = KernelBench.readBf16(out);
    }

    boolean isDense(int position) {
        return !mode.isSparse() || position / KernelShape.BLOCK + 1 <= shape.sparse.budget(position);
    }

    int page(int block) {
        return kv.page(ROW, block);
    }

    float[] key(int head, int position) {
        return kv.key(ROW, position / KernelShape.BLOCK, LAYER, head, position % KernelShape.BLOCK);
    }

    float[] value(int head, int position) {
        return kv.value(ROW, position / KernelShape.BLOCK, LAYER, head, position % KernelShape.BLOCK);
    }

    float[] windowKey(int head, int window) {
        return kv.windowKey(ROW, LAYER, head, window);
    }

    float importance(int head, int position) {
        return kv.importance(ROW, LAYER, head, position);
    }

    float windowImportance(int head, int window) {
        return kv.windowImportance(ROW, LAYER, head, window);
    }

    /** Device address of the importance of a block's first token. */
    long importanceAddress(int head, int block) {
        return kv.importanceAddress(ROW, LAYER, head, block * KernelShape.BLOCK);
    }

    private static int ceilDiv(int value, int size) {
        return (value + size - 1) / size;
    }
}
