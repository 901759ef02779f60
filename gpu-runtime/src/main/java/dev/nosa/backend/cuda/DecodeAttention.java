package dev.nosa.backend.cuda;

import dev.nosa.backend.AttentionShape;
import dev.nosa.cache.KvLayout;
import dev.nosa.sparse.WindowMath;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Attention of one token of each of some sequences (decode_*.cu, gather.cu): append, score, select, fetch, attend. What is missing
 * comes from the host tier while the resident blocks are attended. Nothing here waits, so all of it can be recorded. Engine
 * thread.
 */
final class DecodeAttention implements AutoCloseable {
    private static final int APPEND_THREADS = 256;
    private static final int SCORE_THREADS = 128;
    private static final int SELECT_THREADS = 320;
    private static final int ATTEND_THREADS = 128;
    private static final int COPY_THREADS = 256;
    /** Thread blocks of the gather: enough for the link, few for the attention beside it. */
    private static final int GATHER_BLOCKS = 32;

    private static final int MAX_SPLITS = 32;
    private static final int MISSING_SPLITS = 2;
    private static final int WINDOWS_PAD = 16;
    private static final int WORK_BYTES = 16;
    private static final int PAIR_BYTES = 8;
    private static final int PARTIALS_BYTES = 32;
    private static final int RESIDENT = 0;
    private static final int MISSING = 1;
    private static final int ALL = 2;

    private final AttentionShape shape;
    private final KvLayout layout;
    private final boolean offload;
    private final Workspace workspace;
    private final CudaStream stream;
    private final CudaStream transfers;
    private final CudaEvent selected;
    private final CudaEvent fetched;
    private final AttentionArgs args;
    private final int multiprocessors;
    private final int maxWindows;
    private final int maxSelected;
    private final DeviceBuffer workCounts;
    private final DeviceBuffer arrived;
    private final Kernel append;
    private final Kernel scores;
    private final Kernel select;
    private final Kernel gather;
    private final Kernel attention;
    private final Kernel writeBack;
    /** Blocks that every head replaces in every step instead of its selection, for measurements; -1: none. */
    private int turnover = -1;

    /**
     * Tokens that go through the slots.
     *
     * @param count lanes
     * @param rows int32 [count], -1: padding
     * @param positions int32 [count]
     * @param counters int64 [count][2], selected and missed blocks to add to
     */
    record Lanes(int count, long rows, long positions, long counters) {}

    DecodeAttention(
            CudaContext context,
            CudaStream stream,
            KernelLibrary library,
            AttentionShape shape,
            CudaKvStore store,
            Workspace workspace,
            AttentionArgs args,
            int maxLanes,
            int maxContext) {
        this.shape = shape;
        layout = store.layout();
        offload = store.offloads();
        this.workspace = workspace;
        this.stream = stream;
        this.args = args;
        transfers = new CudaStream(context);
        selected = new CudaEvent(context, false);
        fetched = new CudaEvent(context, false);
        multiprocessors = context.device().multiprocessors();
        maxWindows = maxWindows(layout, maxContext);
        maxSelected = maxSelected(layout, maxContext);
        workCounts = DeviceBuffer.allocate(context, (long) layout.layers() * Integer.BYTES);
        arrived = DeviceBuffer.allocate(context, (long) maxLanes * layout.kvHeads() * Integer.BYTES);
        arrived.fill(0);
        String size = "_d" + shape.headDim();
        append = library.kernel("decode_append" + size);
        scores = library.kernel("decode_scores" + size);
        select = library.kernel("decode_select");
        gather = library.kernel("gather");
        attention = library.kernel("decode_attention" + size);
        writeBack = library.kernel("write_back");
    }

    private static int maxWindows(KvLayout layout, int maxContext) {
        int windows = layout.mode().usesQueryScores() ? WindowMath.windows(maxContext, layout.sparse()) : 0;
        return Math.max(1, (windows + WINDOWS_PAD - 1) / WINDOWS_PAD) * WINDOWS_PAD;
    }

    private static int maxSelected(KvLayout layout, int maxContext) {
        int blocks = WindowMath.blocks(maxContext, layout.sparse());
        return layout.mode().isSparse() ? Math.min(layout.sparse().maxBudget(), blocks) : blocks;
    }

    /** Bytes of workspace for a lane. */
    static long scratchBytes(AttentionShape shape, KvLayout layout, int maxContext) {
        long heads = layout.kvHeads();
        long group = shape.groupSize();
        long logits = heads * group * maxWindows(layout, maxContext) * Float.BYTES;
        long lists = heads * maxSelected(layout, maxContext) * (2L * Integer.BYTES + WORK_BYTES);
        long splits = heads * (MAX_SPLITS + MISSING_SPLITS) * group * (shape.headDim() * Float.BYTES + 2L * PAIR_BYTES);
        return logits + lists + splits + (4 << 10);
    }

    /** Replaces every real selection: {@code blocks} of a head's blocks in each step by random ones; -1: not. */
    void replaceSelection(int blocks) {
        turnover = blocks;
    }

    /** Queued once before the layers of a step. */
    void beginStep() {
        workCounts.fill(stream, 0, workCounts.bytes(), 0);
    }

    /** Queued between runs of the same layer in one step. */
    void beginAgain(int layer) {
        workCounts.fill(stream, (long) layer * Integer.BYTES, Integer.BYTES, 0);
    }

    /** @param qkv row 0 is the first lane's, as in {@code queries} and {@code out} */
    void run(int layer, Lanes lanes, ImportanceAddresses weights, long qkv, long queries, long out) {
        int heads = layout.kvHeads();
        begin(layer, lanes).putPointer(qkv);
        args.putRope().putPointer(weights.a()).putPointer(weights.delta()).putPointer(weights.bias());
        args.all().putPointer(queries);
        append.launch(stream, heads, lanes.count(), 1, APPEND_THREADS, 0, args.all());

        long mark = workspace.mark();
        Lists lists = select(layer, lanes, queries);
        attend(layer, lanes, queries, lists, out);
        workspace.back(mark);
    }

    /** Device addresses of what a layer selected. */
    private record Lists(long slots, long blocks, long hits, long counts, long work, long workCount) {}

    private Lists select(int layer, Lanes lanes, long queries) {
        int heads = layout.kvHeads();
        int splits = splits(lanes.count(), 4);
        long logits = 0;
        long partial = 0;
        if (layout.mode().usesQueryScores()) {
            logits = workspace.take((long) lanes.count() * shape.heads() * maxWindows, Float.BYTES);
            partial = workspace.take((long) lanes.count() * shape.heads() * splits, PAIR_BYTES);
            begin(layer, lanes)
                    .putPointer(queries)
                    .putPointer(logits)
                    .putInt(maxWindows)
                    .putPointer(partial);
            scores.launch(stream, splits, heads, lanes.count(), SCORE_THREADS, 0, args.all());
        }
        long pairs = (long) lanes.count() * heads;
        Lists lists = new Lists(
                workspace.take(pairs * maxSelected, Integer.BYTES),
                workspace.take(pairs * maxSelected, Integer.BYTES),
                workspace.take(pairs, Integer.BYTES),
                workspace.take(pairs, Integer.BYTES),
                workspace.take(pairs * maxSelected, WORK_BYTES),
                workCounts.address((long) layer * Integer.BYTES));
        begin(layer, lanes)
                .putPointer(logits)
                .putInt(maxWindows)
                .putPointer(partial)
                .putInt(splits);
        args.all().putPointer(lists.slots()).putPointer(lists.blocks()).putInt(maxSelected);
        args.all().putPointer(lists.hits()).putPointer(lists.counts());
        args.all().putPointer(lists.work()).putPointer(lists.workCount()).putPointer(lanes.counters());
        args.all().putInts(turnover, 1);
        select.launch(stream, heads, lanes.count(), 1, SELECT_THREADS, 0, args.all());
        return lists;
    }

    private void attend(int layer, Lanes lanes, long queries, Lists lists, long out) {
        int splits = splits(lanes.count(), 2);
        if (!offload) {
            Partials partials = partials(lanes.count(), splits);
            attend(layer, lanes, queries, lists, ALL, 0, splits, partials, out);
            return;
        }
        Partials partials = partials(lanes.count(), splits + MISSING_SPLITS);
        selected.record(stream);
        transfers.waitFor(selected);
        args.begin(layer).putPointer(lanes.rows()).putPointer(lists.work()).putPointer(lists.workCount());
        gather.launch(transfers, GATHER_BLOCKS, 1, 1, COPY_THREADS, 0, args.all());
        fetched.record(transfers);
        attend(layer, lanes, queries, lists, RESIDENT, 0, splits, partials, out);
        stream.waitFor(fetched);
        attend(layer, lanes, queries, lists, MISSING, splits, MISSING_SPLITS, partials, out);
    }

    /** Where the splits of a layer leave their sums, for the last thread block to put together. */
    private record Partials(long outputs, long sums, int splits) {}

    private Partials partials(int lanes, int splits) {
        long rows = (long) lanes * shape.heads() * splits;
        return new Partials(
                workspace.take(rows * shape.headDim(), Float.BYTES), workspace.take(rows, PAIR_BYTES), splits);
    }

    @SuppressWarnings("checkstyle:ParameterNumber") // one launch of several that share the splits
    private void attend(
            int layer,
            Lanes lanes,
            long queries,
            Lists lists,
            int part,
            int firstSplit,
            int splits,
            Partials partials,
            long out) {
        begin(layer, lanes)
                .putPointer(queries)
                .putPointer(lists.slots())
                .putPointer(lists.blocks())
                .putInt(maxSelected);
        args.all()
                .putPointer(lists.hits())
                .putPointer(lists.counts())
                .putInt(part)
                .putInt(firstSplit);
        ByteBuffer struct = ByteBuffer.allocate(PARTIALS_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        struct.putLong(partials.outputs()).putLong(partials.sums()).putLong(arrived.address());
        struct.putInt(partials.splits()).position(0);
        args.all().putStruct(struct).putPointer(out);
        int stages = shape.headDim() == 64 ? 4 : 3; // of K, V and importance of a block
        int shared = stages * 256 * (shape.headDim() + 1);
        attention.launch(stream, splits, layout.kvHeads(), lanes.count(), ATTEND_THREADS, shared, args.all());
    }

    /** Finished tails of some layers go to the host tier; behind the token's attention in them. */
    void writeBack(int firstLayer, int layers, Lanes lanes) {
        if (!offload) {
            return;
        }
        args.begin(firstLayer).putPointer(lanes.rows()).putPointer(lanes.positions());
        writeBack.launch(stream, layers * layout.kvHeads(), lanes.count(), 1, COPY_THREADS, 0, args.all());
    }

    private KernelArgs begin(int layer, Lanes lanes) {
        return args.begin(layer).putPointer(lanes.rows()).putPointer(lanes.positions());
    }

    /** So that all together are about {@code waves} thread blocks for each multiprocessor. */
    private int splits(int lanes, int waves) {
        int pairs = lanes * layout.kvHeads();
        return Math.max(1, Math.min(MAX_SPLITS, (waves * multiprocessors + pairs - 1) / pairs));
    }

    @Override
    public void close() {
        for (AutoCloseable part : new AutoCloseable[] {workCounts, arrived, selected, fetched, transfers}) {
            CudaKvStore.closeQuietly(part);
        }
    }
}
