package dev.nosa.backend.cuda;

import dev.nosa.backend.AttentionShape;
import dev.nosa.cache.KvLayout;
import dev.nosa.sparse.WindowMath;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * Attention of one token of each of some sequences (decode_*.cu, gather.cu): append, score, select, fetch, attend. What is missing
 * comes from the host tier while the resident blocks are attended. Nothing here waits, so all of it can be recorded. Engine
 * thread.
 */
final class DecodeAttention implements AutoCloseable {
    /** Of a step, at most. */
    static final int PARTS = 2;

    private static final int APPEND_THREADS = 256;
    private static final int SCORE_THREADS = 128;
    private static final int SELECT_THREADS = 512;
    private static final int ATTEND_THREADS = 128;
    private static final int COPY_THREADS = 256;
    /** Thread blocks of the gather: enough for the link, few for the attention beside it. */
    private static final int GATHER_BLOCKS = 32;

    /** Blocks, layers and heads of {@link #gatherRate}. */
    private static final int GATHERED = 8192;

    private static final int MAX_SPLITS = 32;
    private static final int MISSING_SPLITS = 1;
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
    /** Of each part. */
    private final CudaEvent[] fetched = new CudaEvent[PARTS];

    private final AttentionArgs args;
    private final int multiprocessors;
    private final int maxWindows;
    private final int maxSelected;
    private final DeviceBuffer workCounts;
    private final PinnedBuffer hostWorkCounts;
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
     * Tokens that go through the slots, and what a layer selects for them (decode_select.cu): device addresses.
     *
     * @param part of the step that they are
     * @param count lanes
     * @param rows int32 [count], -1: padding
     * @param positions int32 [count]
     * @param counters int64 [count][2], selected and missed blocks to add to
     * @param queries rotated, BF16 [count][heads][D]
     * @param slots of the selected blocks
     * @param blocks their numbers
     * @param hits how many of them were resident
     * @param counts how many there are
     * @param work what is to be fetched
     */
    record Lanes(
            int part,
            int count,
            long rows,
            long positions,
            long counters,
            long queries,
            long slots,
            long blocks,
            long hits,
            long counts,
            long work) {}

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
        transfers = CudaStream.urgent(context);
        selected = new CudaEvent(context, false);
        Arrays.setAll(fetched, part -> new CudaEvent(context, false));
        multiprocessors = context.device().multiprocessors();
        maxWindows = maxWindows(layout, maxContext);
        maxSelected = maxSelected(layout, maxContext);
        workCounts = DeviceBuffer.allocate(context, (long) PARTS * layout.layers() * Integer.BYTES);
        hostWorkCounts = PinnedBuffer.allocate(context, workCounts.bytes());
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

    /**
     * For measurements: bytes per second of a gather alone, of random blocks from the host tier into the slots of layer 0,
     * whose contents are lost.
     *
     * @param rows which have {@code blocks} blocks each in the host tier
     */
    double gatherRate(CudaContext context, int rows, int blocks) {
        int slots = layout.slots();
        int entries = Math.min(GATHERED, rows * layout.kvHeads() * slots);
        Random random = new Random(1);
        int[] worklist = new int[entries * 4 + rows + 1];
        for (int i = 0; i < entries; i++) { // index into the rows, head, block, slot
            worklist[4 * i] = i / layout.kvHeads() / slots;
            worklist[4 * i + 1] = i / slots % layout.kvHeads();
            worklist[4 * i + 2] = random.nextInt(blocks);
            worklist[4 * i + 3] = i % slots;
        }
        for (int row = 0; row < rows; row++) {
            worklist[entries * 4 + row] = row;
        }
        worklist[entries * 4 + rows] = entries;
        try (DeviceBuffer buffer = DeviceBuffer.allocate(context, (long) worklist.length * Integer.BYTES)) {
            buffer.copyFrom(0, worklist);
            long behind = (long) entries * WORK_BYTES;
            double bytes = (double) entries * layout.headBlockBytes();
            return CudaRates.perSecond(context, stream, bytes, () -> {
                args.begin(0).putPointer(buffer.address(behind)).putPointer(buffer.address());
                args.all().putPointer(buffer.address(behind + (long) rows * Integer.BYTES));
                gather.launch(stream, GATHER_BLOCKS, 1, 1, COPY_THREADS, 0, args.all());
            });
        }
    }

    /** Queued once before the lanes of a step select. */
    void beginStep() {
        workCounts.fill(stream, 0, workCounts.bytes(), 0);
    }

    /** Queued behind the lanes of a step, for {@link #addMisses}. */
    void endStep() {
        workCounts.copyTo(stream, 0, hostWorkCounts, 0, workCounts.bytes());
    }

    /** Adds the blocks that each layer fetched in the last step, when all its work is done. */
    void addMisses(long[] byLayer) {
        IntBuffer counts = hostWorkCounts.buffer().asIntBuffer();
        for (int i = 0; i < counts.limit(); i++) {
            byLayer[i % byLayer.length] += counts.get(i);
        }
    }

    /** Queued between selections of the same layer and the first part. */
    void beginAgain(int layer) {
        workCounts.fill(stream, (long) layer * Integer.BYTES, Integer.BYTES, 0);
    }

    /** Takes what lanes need in a step from the workspace. */
    Lanes lanes(int part, int count, long rows, long positions, long counters) {
        long pairs = (long) count * layout.kvHeads();
        return new Lanes(
                part,
                count,
                rows,
                positions,
                counters,
                workspace.take((long) count * shape.heads() * shape.headDim(), Short.BYTES),
                workspace.take(pairs * maxSelected, Integer.BYTES),
                workspace.take(pairs * maxSelected, Integer.BYTES),
                workspace.take(pairs, Integer.BYTES),
                workspace.take(pairs, Integer.BYTES),
                workspace.take(pairs * maxSelected, WORK_BYTES));
    }

    /**
     * Appends the tokens, selects their blocks, and begins to fetch those that are missing.
     *
     * @param qkv of the first lane
     */
    void select(int layer, Lanes lanes, ImportanceAddresses weights, long qkv) {
        int heads = layout.kvHeads();
        begin(layer, lanes).putPointer(qkv);
        args.putRope().putPointer(weights.a()).putPointer(weights.delta()).putPointer(weights.bias());
        args.all().putPointer(lanes.queries());
        append.launch(stream, heads, lanes.count(), 1, APPEND_THREADS, 0, args.all());

        int splits = splits(lanes.count(), 4);
        long mark = workspace.mark();
        long logits = 0;
        long partial = 0;
        if (layout.mode().usesQueryScores()) {
            logits = workspace.take((long) lanes.count() * shape.heads() * maxWindows, Float.BYTES);
            partial = workspace.take((long) lanes.count() * shape.heads() * splits, PAIR_BYTES);
            begin(layer, lanes).putPointer(lanes.queries()).putPointer(logits);
            args.all().putInt(maxWindows).putPointer(partial);
            scores.launch(stream, splits, heads, lanes.count(), SCORE_THREADS, 0, args.all());
        }
        begin(layer, lanes).putPointer(logits).putInt(maxWindows).putPointer(partial);
        args.all().putInt(splits).putPointer(lanes.slots()).putPointer(lanes.blocks());
        args.all().putInt(maxSelected).putPointer(lanes.hits()).putPointer(lanes.counts());
        args.all().putPointer(lanes.work()).putPointer(workCount(layer, lanes)).putPointer(lanes.counters());
        args.all().putInts(turnover, 1);
        select.launch(stream, heads, lanes.count(), 1, SELECT_THREADS, 0, args.all());
        workspace.back(mark);

        if (offload) {
            selected.record(stream);
            transfers.waitFor(selected);
            args.begin(layer).putPointer(lanes.rows()).putPointer(lanes.work()).putPointer(workCount(layer, lanes));
            gather.launch(transfers, GATHER_BLOCKS, 1, 1, COPY_THREADS, 0, args.all());
            fetched[lanes.part()].record(transfers);
        }
    }

    private long workCount(int layer, Lanes lanes) {
        return workCounts.address(((long) lanes.part() * layout.layers() + layer) * Integer.BYTES);
    }

    /** Attention behind {@link #select} of the same layer. */
    void attend(int layer, Lanes lanes, long out) {
        long mark = workspace.mark();
        int splits = splits(lanes.count(), 2);
        if (!offload) {
            attend(layer, lanes, ALL, 0, splits, partials(lanes.count(), splits), out);
        } else {
            Partials partials = partials(lanes.count(), splits + MISSING_SPLITS);
            attend(layer, lanes, RESIDENT, 0, splits, partials, out);
            stream.waitFor(fetched[lanes.part()]);
            attend(layer, lanes, MISSING, splits, MISSING_SPLITS, partials, out);
        }
        workspace.back(mark);
    }

    /** Where the splits of a layer leave their sums, for the last thread block to put together. */
    private record Partials(long outputs, long sums, int splits) {}

    private Partials partials(int lanes, int splits) {
        long rows = (long) lanes * shape.heads() * splits;
        return new Partials(
                workspace.take(rows * shape.headDim(), Float.BYTES), workspace.take(rows, PAIR_BYTES), splits);
    }

    private void attend(int layer, Lanes lanes, int part, int firstSplit, int splits, Partials partials, long out) {
        begin(layer, lanes)
                .putPointer(lanes.queries())
                .putPointer(lanes.slots())
                .putPointer(lanes.blocks());
        args.all().putInt(maxSelected).putPointer(lanes.hits()).putPointer(lanes.counts());
        args.all().putInt(part).putInt(firstSplit);
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
        for (AutoCloseable part :
                List.of(workCounts, hostWorkCounts, arrived, selected, fetched[0], fetched[1], transfers)) {
            CudaKvStore.closeQuietly(part);
        }
    }
}
