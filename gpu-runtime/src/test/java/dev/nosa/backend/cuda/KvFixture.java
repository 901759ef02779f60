package dev.nosa.backend.cuda;

import dev.nosa.cache.KvLayout;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.sparse.WindowMath;
import dev.nosa.tensor.BFloat16;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Deque;
import java.util.LinkedList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Both KV tiers as the kernels see them (kv_cache.cuh), with pages and host blocks in random order, everything unwritten at first.
 * The pages are read and written through an image of them in Java.
 */
final class KvFixture {
    private static final int BLOCK = KernelShape.BLOCK;
    private static final int BLOCKS_PER_SLAB = 5;
    private static final int UNUSED = 0x7fffffff;

    final KvLayout layout;
    final int maxBlocks;
    final int maxSlots;
    private final KernelBench bench;
    private final SparseConfig sparse;
    private final int heads;
    private final int pageBytes;
    private final int[][] pages;
    private final int[][] statePages;
    private final int[][] hostBlocks;
    private final List<PinnedBuffer> slabs = new ArrayList<>();
    private final DeviceBuffer memory;
    private final DeviceBuffer slotBlock;
    private final DeviceBuffer slotUsed;
    private final ByteBuffer struct;
    private ByteBuffer image;

    /**
     * @param hostTier whether there is one; else its addresses are null
     * @param rowSlots slots of each row; a prompt has one for every block
     */
    KvFixture(KernelBench bench, KernelShape shape, KvLayout layout, int maxTokens, boolean hostTier, int... rowSlots) {
        this.bench = bench;
        this.layout = layout;
        sparse = layout.sparse();
        heads = layout.layers() * layout.kvHeads();
        pageBytes = Math.toIntExact(layout.hostBlockBytes());
        maxBlocks = WindowMath.blocks(maxTokens, sparse);
        maxSlots = IntStream.of(rowSlots).max().orElseThrow();
        int rows = rowSlots.length;
        int states = Math.max(1, layout.statePages(maxTokens));
        Random random = new Random(11);
        Deque<Integer> free = shuffled(rows * states + IntStream.of(rowSlots).sum(), random);
        pages = new int[rows][];
        statePages = new int[rows][];
        hostBlocks = new int[rows][];
        int pageCount = free.size();
        Deque<Integer> freeBlocks = shuffled(rows * maxBlocks, random);
        for (int row = 0; row < rows; row++) {
            pages[row] = take(free, rowSlots[row], Math.max(maxBlocks, maxSlots));
            statePages[row] = take(free, states, states);
            hostBlocks[row] = take(freeBlocks, maxBlocks, maxBlocks);
        }
        for (int first = 0; hostTier && first < rows * maxBlocks; first += BLOCKS_PER_SLAB) {
            slabs.add(bench.pinned(BLOCKS_PER_SLAB * pageBytes));
        }
        memory = bench.unwritten((long) pageCount * pageBytes);
        slotBlock = bench.unwritten(4L * rows * heads * maxSlots);
        slotUsed = bench.unwritten(4L * rows * heads * maxSlots);
        struct = struct(shape, rowSlots);
    }

    private static Deque<Integer> shuffled(int count, Random random) {
        List<Integer> numbers =
                new ArrayList<>(IntStream.range(0, count).boxed().toList());
        Collections.shuffle(numbers, random);
        return new LinkedList<>(numbers);
    }

    private static int[] take(Deque<Integer> free, int count, int length) {
        return IntStream.range(0, length)
                .map(i -> i < count ? free.remove() : UNUSED)
                .toArray();
    }

    private ByteBuffer struct(KernelShape shape, int[] rowSlots) {
        DeviceBuffer addresses = bench.zeros(8L * (1 + rowSlots.length * maxBlocks / BLOCKS_PER_SLAB));
        addresses.copyFrom(
                0, slabs.stream().mapToLong(PinnedBuffer::deviceAddress).toArray());
        ByteBuffer out = ByteBuffer.allocate(CudaKvStore.KERNEL_STRUCT_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        out.putLong(memory.address()).putLong(addresses.address());
        for (int[][] table : List.of(hostBlocks, pages, statePages)) {
            out.putLong(
                    bench.ints(Arrays.stream(table).flatMapToInt(IntStream::of).toArray())
                            .address());
        }
        out.putLong(slotBlock.address()).putLong(slotUsed.address());
        out.putLong(bench.ints(rowSlots).address()).putLong(pageBytes);
        int[] sizes = {
            layout.layers(),
            layout.kvHeads(),
            shape.heads(),
            layout.headDim(),
            maxBlocks,
            pages[0].length,
            maxSlots,
            statePages[0].length,
            BLOCKS_PER_SLAB,
            sparse.window(),
            sparse.stride(),
            sparse.initBlocks(),
            sparse.localBlocks(),
            sparse.topK(),
            sparse.queryCut(),
            layout.mode().ordinal(),
            sparse.denseLength(),
            layout.stateTokens()
        };
        for (int size : sizes) {
            out.putInt(size);
        }
        return out.flip();
    }

    /** Begins the parameters of a kernel. */
    KernelArgs args() {
        return bench.args().putStruct(struct);
    }

    int statePageCount() {
        return statePages[0].length;
    }

    int page(int row, int slot) {
        return pages[row][slot];
    }

    /** Takes the pages as the GPU has them now. */
    void download() {
        byte[] bytes = new byte[Math.toIntExact(memory.bytes())];
        memory.copyTo(0, bytes);
        image = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Gives the GPU the pages as they were written here. */
    void upload() {
        memory.copyFrom(0, image);
    }

    private int head(int page, int layer, int head) {
        return page * pageBytes + (layer * layout.kvHeads() + head) * (pageBytes / heads);
    }

    private int state(int row, int statePage, int layer, int head) {
        return head(statePages[row][statePage], layer, head);
    }

    private int windowsPerPage() {
        return layout.stateTokens() / sparse.stride();
    }

    private int importanceAt(int row, int layer, int head, int position) {
        int keys = windowsPerPage() * layout.headDim() * 2;
        return state(row, position / layout.stateTokens(), layer, head) + keys + position % layout.stateTokens() * 4;
    }

    /** Device address of a token's importance. */
    long importanceAddress(int row, int layer, int head, int position) {
        return memory.address() + importanceAt(row, layer, head, position);
    }

    private int windowImportanceAt(int row, int layer, int head, int window) {
        int keys = windowsPerPage() * layout.headDim() * 2;
        return state(row, window / windowsPerPage(), layer, head)
                + keys
                + (layout.stateTokens() + window % windowsPerPage()) * 4;
    }

    private int windowKeyAt(int row, int layer, int head, int window) {
        return state(row, window / windowsPerPage(), layer, head) + window % windowsPerPage() * layout.headDim() * 2;
    }

    /** Key of a token of the block in a slot. */
    float[] key(int row, int slot, int layer, int head, int token) {
        return read(image, head(pages[row][slot], layer, head) + token * layout.headDim() * 2);
    }

    float[] value(int row, int slot, int layer, int head, int token) {
        return read(image, head(pages[row][slot], layer, head) + (BLOCK + token) * layout.headDim() * 2);
    }

    void setToken(int row, int slot, int layer, int head, int token, float[] key, float[] value) {
        int at = head(pages[row][slot], layer, head) + token * layout.headDim() * 2;
        write(image, at, key);
        write(image, at + BLOCK * layout.headDim() * 2, value);
    }

    float[] windowKey(int row, int layer, int head, int window) {
        return read(image, windowKeyAt(row, layer, head, window));
    }

    void setWindowKey(int row, int layer, int head, int window, float[] key) {
        write(image, windowKeyAt(row, layer, head, window), key);
    }

    float importance(int row, int layer, int head, int position) {
        return image.getFloat(importanceAt(row, layer, head, position));
    }

    void setImportance(int row, int layer, int head, int position, float value) {
        image.putFloat(importanceAt(row, layer, head, position), value);
    }

    float windowImportance(int row, int layer, int head, int window) {
        return image.getFloat(windowImportanceAt(row, layer, head, window));
    }

    void setWindowImportance(int row, int layer, int head, int window, float value) {
        image.putFloat(windowImportanceAt(row, layer, head, window), value);
    }

    /** On the GPU itself, whatever the image says. */
    float readWindowImportance(int row, int layer, int head, int window) {
        float[] value = new float[1];
        memory.copyTo(windowImportanceAt(row, layer, head, window), value);
        return value[0];
    }

    void writeWindowImportance(int row, int layer, int head, int window, float... values) {
        memory.copyFrom(windowImportanceAt(row, layer, head, window), values);
    }

    /** Windows of a state page that lie behind one another. */
    int windowRun() {
        return windowsPerPage();
    }

    private int hostAt(int row, int block, int layer, int head) {
        return hostBlocks[row][block] % BLOCKS_PER_SLAB * pageBytes
                + (layer * layout.kvHeads() + head) * (pageBytes / heads);
    }

    private ByteBuffer slab(int row, int block) {
        return slabs.get(hostBlocks[row][block] / BLOCKS_PER_SLAB).buffer();
    }

    float[] hostKey(int row, int block, int layer, int head, int token) {
        return read(slab(row, block), hostAt(row, block, layer, head) + token * layout.headDim() * 2);
    }

    float[] hostValue(int row, int block, int layer, int head, int token) {
        return read(slab(row, block), hostAt(row, block, layer, head) + (BLOCK + token) * layout.headDim() * 2);
    }

    void setHostToken(int row, int block, int layer, int head, int token, float[] key, float[] value) {
        int at = hostAt(row, block, layer, head) + token * layout.headDim() * 2;
        write(slab(row, block), at, key);
        write(slab(row, block), at + BLOCK * layout.headDim() * 2, value);
    }

    private float[] read(ByteBuffer from, int at) {
        float[] values = new float[layout.headDim()];
        for (int i = 0; i < values.length; i++) {
            values[i] = BFloat16.toFloat(from.getShort(at + 2 * i));
        }
        return values;
    }

    private static void write(ByteBuffer to, int at, float[] values) {
        for (int i = 0; i < values.length; i++) {
            to.putShort(at + 2 * i, BFloat16.fromFloat(values[i]));
        }
    }

    /** Block in each slot of a row's head, -1 for none. */
    int[] slotBlocks(int row, int layer, int head) {
        return slots(slotBlock, row, layer, head);
    }

    int[] slotClocks(int row, int layer, int head) {
        return slots(slotUsed, row, layer, head);
    }

    private int[] slots(DeviceBuffer table, int row, int layer, int head) {
        int[] values = new int[maxSlots];
        table.copyTo(4L * ((long) row * heads + layer * layout.kvHeads() + head) * maxSlots, values);
        return values;
    }

    /** Runs init_slots: slots [0, count) hold blocks first, first + 1, ... */
    void initSlots(int row, int slots, int first, int count) {
        args().putInt(row).putInt(slots).putInt(first).putInt(count);
        bench.launch("init_slots", KernelBench.grid(heads), 256, 0);
    }
}
