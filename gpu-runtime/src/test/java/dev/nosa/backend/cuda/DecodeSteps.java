package dev.nosa.backend.cuda;

import dev.nosa.cache.KvLayout;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.WindowMath;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Decode steps of sequences of different lengths with padding among them, kernel by kernel; each method launches one and waits.
 * Grids are those of the kernels' comments, with other numbers of splits than the product's.
 */
final class DecodeSteps {
    static final int SCORE_SPLITS = 3;
    private static final int PADDING = -1;

    final KvFixture kv;
    final KernelShape shape;
    final AttentionMode mode;
    /** In the order of the batch; null is padding. */
    final List<DecodeLane> lanes;

    final int maxWindows;
    final int maxSelected;
    final float[] a;
    final float[] delta;
    final float[] bias;
    float[] qkv;

    final DeviceBuffer queries;
    final DeviceBuffer logits;
    final DeviceBuffer partial;
    final DeviceBuffer selected;
    final DeviceBuffer blocks;
    final DeviceBuffer hits;
    final DeviceBuffer counts;
    final DeviceBuffer worklist;
    final DeviceBuffer workCount;
    final DeviceBuffer counters;
    final DeviceBuffer arrived;
    private final KernelBench bench;
    private final Random random;
    private final DeviceBuffer rows;
    private final DeviceBuffer positions;
    private final DeviceBuffer qkvBuffer;
    private final DeviceBuffer frequencies;
    private final DeviceBuffer deviceA;
    private final DeviceBuffer deviceDelta;
    private final DeviceBuffer deviceBias;

    /** One of the selection's lists, as the kernels left it. */
    record Lists(int[] slots, int[] blocks, int hits) {}

    /** @param starts tokens of each sequence at first */
    static DecodeSteps of(
            KernelBench bench, KernelShape shape, AttentionMode mode, int slots, int maxTokens, int... starts) {
        return new DecodeSteps(bench, shape, mode, new Memory(slots, maxTokens, true), starts);
    }

    /** With nothing in pages and no host tier, for selections alone. */
    static DecodeSteps withoutContents(
            KernelBench bench, KernelShape shape, AttentionMode mode, int slots, int maxTokens, int... starts) {
        return new DecodeSteps(bench, shape, mode, new Memory(slots, maxTokens, false), starts);
    }

    private record Memory(int slots, int maxTokens, boolean filled) {}

    private DecodeSteps(KernelBench bench, KernelShape shape, AttentionMode mode, Memory memory, int... starts) {
        this.bench = bench;
        this.shape = shape;
        this.mode = mode;
        int maxTokens = memory.maxTokens();
        random = new Random(shape.ordinal() * 10L + mode.ordinal());
        KvLayout layout = shape.layout(mode).withSlots(memory.slots());
        int rowSlots = layout.slotsFor(maxTokens);
        kv = new KvFixture(
                bench,
                shape,
                layout,
                maxTokens,
                memory.filled(),
                IntStream.range(0, starts.length).map(i -> rowSlots).toArray());
        lanes = lanes(starts, rowSlots);
        if (memory.filled()) {
            kv.download();
            lanes.stream().filter(lane -> lane != null).forEach(lane -> lane.fill(kv, random));
            kv.upload();
        }
        lanes.stream().filter(lane -> lane != null).forEach(lane -> lane.initSlots(kv));
        int windows = mode.usesQueryScores() ? WindowMath.windows(maxTokens, shape.sparse) : 0;
        maxWindows = (windows + 15) / 16 * 16 + 16;
        maxSelected = mode.isSparse() ? Math.min(shape.sparse.maxBudget(), kv.maxBlocks) : kv.maxBlocks;
        int count = lanes.size();
        long pairs = (long) count * shape.kvHeads;
        rows = bench.ints(lanes.stream()
                .mapToInt(lane -> lane == null ? PADDING : lane.row)
                .toArray());
        positions = bench.unwritten(4L * count);
        qkvBuffer = bench.unwritten(2L * count * shape.qkvWidth());
        queries = bench.unwritten(2L * count * shape.heads() * shape.headDim);
        logits = bench.unwritten(4L * count * shape.heads() * maxWindows);
        partial = bench.unwritten(8L * count * shape.heads() * SCORE_SPLITS);
        selected = bench.unwritten(4 * pairs * maxSelected);
        blocks = bench.unwritten(4 * pairs * maxSelected);
        hits = bench.unwritten(4 * pairs);
        counts = bench.unwritten(4 * pairs);
        worklist = bench.unwritten(16 * pairs * maxSelected);
        workCount = bench.unwritten(4);
        counters = bench.zeros(16L * count);
        arrived = bench.zeros(4 * pairs);
        frequencies = bench.floats(shape.frequencies());
        a = KernelBench.random(random, shape.kvHeads, 1);
        delta = KernelBench.random(random, shape.kvHeads * shape.kvHeads * shape.headDim, 0.1);
        bias = KernelBench.random(random, shape.kvHeads, 1);
        deviceA = bench.bf16(a);
        deviceDelta = bench.bf16(delta);
        deviceBias = bench.bf16(bias);
    }

    private List<DecodeLane> lanes(int[] starts, int slots) {
        List<DecodeLane> all = new ArrayList<>();
        for (int row = 0; row < starts.length; row++) {
            all.add(new DecodeLane(kv, shape, row, slots, starts[row]));
        }
        Collections.shuffle(all, random);
        all.add(1, null);
        all.add(null);
        return all;
    }

    /** At every sequence's next position. */
    void begin() {
        positions.copyFrom(
                0,
                lanes.stream()
                        .mapToInt(lane -> lane == null ? 0 : lane.position)
                        .toArray());
    }

    private KernelArgs args(int layer) {
        return kv.args().putInt(layer).putPointer(rows).putPointer(positions);
    }

    /** New random tokens for each layer. */
    void append(int layer) {
        qkv = KernelBench.random(random, lanes.size() * shape.qkvWidth(), 1);
        KernelBench.write(qkvBuffer, qkv);
        KernelArgs args = args(layer).putPointer(qkvBuffer).putPointer(frequencies);
        args.putFloat(KernelShape.ROPE_SCALE);
        for (DeviceBuffer weight : List.of(deviceA, deviceDelta, deviceBias)) {
            args.putPointer(mode.usesImportance() ? weight.address() : 0);
        }
        args.putPointer(queries);
        bench.launch(shape.kernel("decode_append"), KernelBench.grid(shape.kvHeads, lanes.size()), 256, 0);
    }

    void scores(int layer) {
        logits.fill(0xff);
        partial.fill(0xff);
        args(layer).putPointer(queries).putPointer(logits).putInt(maxWindows).putPointer(partial);
        int[] grid = {SCORE_SPLITS, shape.kvHeads, lanes.size()};
        bench.launch(shape.kernel("decode_scores"), grid, 128, 0);
    }

    void select(int layer) {
        select(layer, partial, SCORE_SPLITS, -1);
    }

    /**
     * @param parts of each query head's softmax
     * @param turnover blocks to replace at random; -1: none
     */
    void select(int layer, DeviceBuffer parts, int splits, int turnover) {
        workCount.fill(0);
        KernelArgs args = args(layer).putPointer(logits).putInt(maxWindows);
        args.putPointer(parts).putInt(splits);
        args.putPointer(selected).putPointer(blocks).putInt(maxSelected);
        args.putPointer(hits).putPointer(counts).putPointer(worklist).putPointer(workCount);
        args.putPointer(counters).putInts(turnover, 5);
        bench.launch("decode_select", KernelBench.grid(shape.kvHeads, lanes.size()), 512, 0);
    }

    /** @param threadBlocks fewer than entries, so that some take several */
    void gather(int layer, int threadBlocks) {
        kv.args().putInt(layer).putPointer(rows).putPointer(worklist).putPointer(workCount);
        bench.launch("gather", KernelBench.grid(threadBlocks), 256, 0);
    }

    /** A launch of decode_attention: 0 the resident blocks, 1 those that were fetched, 2 all. */
    record Part(int part, int splits) {}

    /** Attention in launches that share the splits; [lane][heads * D]. */
    float[] attend(int layer, Part... parts) {
        int total = IntStream.range(0, parts.length).map(i -> parts[i].splits()).sum();
        long lists = (long) lanes.size() * shape.heads() * total;
        DeviceBuffer outputs = bench.unwritten(4 * lists * shape.headDim);
        DeviceBuffer sums = bench.unwritten(8 * lists);
        DeviceBuffer out = bench.unwritten(2L * lanes.size() * shape.heads() * shape.headDim);
        int offset = 0;
        for (Part part : parts) {
            KernelArgs args = args(layer).putPointer(queries);
            args.putPointer(selected).putPointer(blocks).putInt(maxSelected);
            args.putPointer(hits).putPointer(counts).putInt(part.part()).putInt(offset);
            ByteBuffer partials = ByteBuffer.allocate(32).order(ByteOrder.LITTLE_ENDIAN);
            partials.putLong(outputs.address()).putLong(sums.address()).putLong(arrived.address());
            args.putStruct(partials.putInt(total).position(0)).putPointer(out);
            int[] grid = {part.splits(), shape.kvHeads, lanes.size()};
            int stages = shape.headDim == 128 ? 3 : 4;
            bench.launch(shape.kernel("decode_attention"), grid, 128, stages * (256 * shape.headDim + 256));
            offset += part.splits();
        }
        float[] got = KernelBench.readBf16(out);
        List.of(outputs, sums, out).forEach(DeviceBuffer::close);
        return got;
    }

    void writeBack() {
        kv.args().putInt(0).putPointer(rows).putPointer(positions);
        bench.launch("write_back", KernelBench.grid(KernelShape.LAYERS * shape.kvHeads, lanes.size()), 256, 0);
    }

    /** What decode_select wrote for a lane's KV head. */
    Lists lists(int lane, int head) {
        int pair = lane * shape.kvHeads + head;
        int count = KernelBench.readInts(counts)[pair];
        int[] slots = new int[count];
        int[] chosen = new int[count];
        selected.copyTo(4L * pair * maxSelected, slots);
        blocks.copyTo(4L * pair * maxSelected, chosen);
        return new Lists(slots, chosen, KernelBench.readInts(hits)[pair]);
    }

    /** Ends the step. */
    void advance() {
        lanes.stream().filter(lane -> lane != null).forEach(lane -> lane.position++);
    }

    boolean isDense(int position) {
        return !mode.isSparse() || position / KernelShape.BLOCK + 1 <= shape.sparse.budget(position);
    }
}
