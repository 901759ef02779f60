package dev.nosa.backend.cuda;

import dev.nosa.backend.AttentionShape;
import dev.nosa.backend.BatchInputs.Slice;
import dev.nosa.cache.KvLayout;
import dev.nosa.sparse.WindowMath;

/**
 * Attention of one prompt's chunk (prefill_*.cu): append, select for every query, attend in tiles of neighbouring queries over
 * the union of their blocks. Engine thread.
 */
final class PrefillAttention {
    private static final int TILE_ROWS = 128;
    private static final int LISTED_BYTES = 16;
    private static final int MASK_BYTES = 16;
    private static final int BLOCKS_PAD = 32;
    private static final int APPEND_TOKENS = 4;
    private static final int COMPRESS_WINDOWS = 4;
    private static final int SELECT_QUERIES = 32;
    private static final int ATTEND_THREADS = 128;
    private static final int SELECT_THREADS = 256;
    /** Of the scratch; a chunk that needs more is attended in parts. */
    private static final long SCRATCH_BYTES = 64L << 20;

    private final AttentionShape shape;
    private final CudaKvStore store;
    private final KvLayout layout;
    private final Workspace workspace;
    private final CudaStream stream;
    private final AttentionArgs args;
    private final Kernel append;
    private final Kernel compress;
    private final Kernel scores;
    private final Kernel select;
    private final Kernel union;
    private final Kernel attention;

    PrefillAttention(
            AttentionShape shape,
            CudaKvStore store,
            Workspace workspace,
            CudaStream stream,
            KernelLibrary library,
            AttentionArgs args) {
        this.shape = shape;
        this.store = store;
        this.workspace = workspace;
        this.stream = stream;
        this.args = args;
        layout = store.layout();
        String size = "_d" + shape.headDim();
        append = library.kernel("prefill_append" + size);
        compress = library.kernel("prefill_compress");
        scores = library.kernel("prefill_scores" + size);
        select = library.kernel("prefill_select");
        union = library.kernel("prefill_union");
        attention = library.kernel("prefill_attention" + size);
    }

    /** Bytes of workspace that a chunk takes at most besides its queries, at positions below {@code maxContext}. */
    static long scratchBytes(AttentionShape shape, KvLayout layout, int maxContext) {
        int blocks = padded(WindowMath.blocks(maxContext, layout.sparse()));
        return Math.max(SCRATCH_BYTES, partBytes(shape, tileQueries(shape), blocks)) + 4 * 256;
    }

    /** @param qkv row 0 is the slice's first token, as in {@code queries} and {@code out} */
    void run(int layer, Slice slice, ImportanceAddresses weights, long qkv, long queries, long out) {
        append(layer, slice, weights, qkv, queries);
        int blocks = padded(WindowMath.blocks(slice.start() + slice.count(), layout.sparse()));
        int part = partQueries(blocks);
        long rowBytes = 2L * shape.heads() * shape.headDim();
        for (int from = 0; from < slice.count(); from += part) {
            int count = Math.min(part, slice.count() - from);
            long mark = workspace.mark();
            attend(
                    layer,
                    slice.row(),
                    slice.start() + from,
                    count,
                    blocks,
                    queries + from * rowBytes,
                    out + from * rowBytes);
            workspace.back(mark);
        }
    }

    private void append(int layer, Slice slice, ImportanceAddresses weights, long qkv, long queries) {
        args.begin(layer)
                .putInt(slice.row())
                .putInt(slice.start())
                .putInt(slice.count())
                .putPointer(qkv);
        args.putRope().putPointer(weights.a()).putPointer(weights.delta()).putPointer(weights.bias());
        args.all().putPointer(queries);
        append.launch(stream, ceilDiv(slice.count(), APPEND_TOKENS), 1, 1, SELECT_THREADS, 0, args.all());
        int windows = WindowMath.windows(slice.start() + slice.count(), layout.sparse())
                - WindowMath.windows(slice.start(), layout.sparse());
        if (layout.mode().isSparse() && windows > 0) {
            args.begin(layer).putInt(slice.row()).putInt(slice.start()).putInt(slice.count());
            int grid = ceilDiv(windows, COMPRESS_WINDOWS);
            compress.launch(stream, grid, layout.kvHeads(), 1, 2 * shape.headDim(), 0, args.all());
        }
    }

    @SuppressWarnings("checkstyle:ParameterNumber") // a part of a chunk
    private void attend(int layer, int row, int start, int count, int blocks, long queries, long out) {
        int tiles = ceilDiv(count, tileQueries(shape));
        long lists = 0;
        long masks = 0;
        long lengths = 0;
        if (layout.mode().isSparse()) {
            long selected = select(layer, row, start, count, blocks, queries);
            lists = workspace.take((long) tiles * layout.kvHeads() * blocks, LISTED_BYTES);
            masks = workspace.take((long) tiles * layout.kvHeads() * blocks, MASK_BYTES);
            lengths = workspace.take((long) tiles * layout.kvHeads(), Integer.BYTES);
            args.begin(layer)
                    .putInt(row)
                    .putInt(start)
                    .putInt(count)
                    .putPointer(selected)
                    .putInt(blocks / BLOCKS_PAD);
            args.all().putPointer(lists).putPointer(masks).putPointer(lengths).putInt(blocks);
            union.launch(stream, tiles, layout.kvHeads(), 1, ATTEND_THREADS, 0, args.all());
        }
        args.begin(layer).putInt(row).putInt(start).putInt(count).putPointer(queries);
        args.all()
                .putPointer(lists)
                .putPointer(masks)
                .putPointer(lengths)
                .putInt(blocks)
                .putPointer(out);
        int shared = 768 * shape.headDim() + 512;
        attention.launch(stream, tiles, layout.kvHeads(), 1, ATTEND_THREADS, shared, args.all());
    }

    /** Bits of the selected blocks, [count][kvHeads][blocks / 32]. */
    private long select(int layer, int row, int start, int count, int blocks, long queries) {
        long pooled = 0;
        if (layout.mode().usesQueryScores()) {
            pooled = workspace.take((long) count * layout.kvHeads() * blocks, Float.BYTES);
            args.begin(layer).putInt(row).putInt(start).putInt(count).putPointer(queries);
            args.all().putPointer(pooled).putInt(blocks);
            int grid = ceilDiv(count, shape.groupSize() > 8 ? 8 : 16);
            int shared = 384 * shape.headDim() + 8 * store.maxStatePages();
            scores.launch(stream, grid, layout.kvHeads(), 1, ATTEND_THREADS, shared, args.all());
        }
        int words = blocks / BLOCKS_PAD;
        long selected = workspace.take((long) count * layout.kvHeads() * words, Integer.BYTES);
        args.begin(layer).putInt(row).putInt(start).putInt(count);
        args.all().putPointer(pooled).putInt(blocks).putPointer(selected).putInt(words);
        select.launch(
                stream, ceilDiv(count, SELECT_QUERIES), layout.kvHeads(), 1, SELECT_THREADS, 128 * words, args.all());
        return selected;
    }

    /** Queries of a part, whole tiles of them, so that its scratch stays within bounds. */
    private int partQueries(int blocks) {
        int tile = tileQueries(shape);
        long tiles = SCRATCH_BYTES / partBytes(shape, tile, blocks);
        return (int) Math.max(1, Math.min(tiles, Integer.MAX_VALUE / TILE_ROWS)) * tile;
    }

    private static long partBytes(AttentionShape shape, int queries, int blocks) {
        long perQuery = (long) shape.kvHeads() * blocks * Float.BYTES + (long) shape.kvHeads() * blocks / Byte.SIZE;
        long perTile = (long) shape.kvHeads() * (blocks * (LISTED_BYTES + MASK_BYTES) + Integer.BYTES);
        return queries * perQuery + ceilDiv(queries, tileQueries(shape)) * perTile;
    }

    private static int tileQueries(AttentionShape shape) {
        return TILE_ROWS / shape.groupSize();
    }

    private static int padded(int blocks) {
        return ceilDiv(blocks, BLOCKS_PAD) * BLOCKS_PAD;
    }

    private static int ceilDiv(int value, int size) {
        return (value + size - 1) / size;
    }
}
