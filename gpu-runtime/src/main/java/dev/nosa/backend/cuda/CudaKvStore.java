package dev.nosa.backend.cuda;

import dev.nosa.backend.AttentionShape;
import dev.nosa.backend.BatchInputs;
import dev.nosa.backend.BatchInputs.Slice;
import dev.nosa.backend.KvStore;
import dev.nosa.cache.BlockTable;
import dev.nosa.cache.KvLayout;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.sparse.WindowMath;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Both KV tiers of a GPU: a pool of device pages, pinned slabs of host blocks, and the tables through which kernels find
 * them (kv_cache.cuh). Engine thread.
 *
 * <p>While its prompt is computed, a row has the page of every block, in order. With its first decode step it keeps the last
 * blocks' pages as its slots and gives the others back: their blocks are in the host tier by then. A fork of a prompt is such a
 * prompt itself, and shares the pages of the blocks that it continues; those of them that become its slots it copies.
 *
 * <p>The pool has pages beyond all slots for one long prompt. A long prompt whose forks share its pages keeps them until another
 * one takes the last free page.
 */
final class CudaKvStore implements KvStore, AutoCloseable {
    /** Bytes of the struct KvCache. */
    static final int KERNEL_STRUCT_BYTES = 8 * Long.BYTES + Long.BYTES + 18 * Integer.BYTES;

    private final KvLayout layout;
    private final SparseConfig sparse;
    private final int heads;
    private final CudaStream compute;
    private final CudaStream copies;
    private final CudaEvent computed;
    private final CudaEvent copied;
    private final RowKernels kernels;
    private final PinnedArena host;
    private final DeviceBuffer pages;
    private final PagePool pool;
    private final IntTable hostBlocks;
    private final IntTable pageTable;
    private final IntTable stateTable;
    private final IntTable slotCounts;
    private final IntTable slabs;
    private final DeviceBuffer slotBlock;
    private final DeviceBuffer slotUsed;
    private final Row[] rows;
    private final ByteBuffer struct;
    /** Whether there is a host tier: else every row has a slot for each of its blocks. */
    private final boolean offload;

    private int knownSlabs;
    /** Whether pages were given back, or host blocks become readable, that a copy to the host may not be done with. */
    private boolean waitForCopies;

    /** One sequence. */
    private static final class Row {
        private final int slots;
        private final List<Integer> pages = new ArrayList<>();
        private final List<Integer> statePages = new ArrayList<>();
        private int tokens;
        private int knownBlocks;
        private boolean prefilling = true;
        /** Whether forks began with its pages; its own prompt is complete then. */
        private boolean lends;

        Row(int slots) {
            this.slots = slots;
        }

        /** Whether it has more pages than it has slots for. */
        boolean isLong() {
            return pages.size() > slots;
        }
    }

    /**
     * @param rowCount sequences that are open at once
     * @param maxContext longest sequence, in tokens
     * @param pageCount pages of the device tier
     */
    CudaKvStore(
            CudaContext context,
            CudaStream compute,
            KernelLibrary library,
            AttentionShape shape,
            KvLayout layout,
            PinnedArena host,
            int rowCount,
            int maxContext,
            int pageCount) {
        this.layout = layout;
        this.compute = compute;
        this.host = host;
        sparse = layout.sparse();
        heads = layout.layers() * layout.kvHeads();
        copies = new CudaStream(context);
        computed = new CudaEvent(context, false);
        copied = new CudaEvent(context, false);
        int blocks = WindowMath.blocks(maxContext, sparse);
        int slots = layout.slotsFor(maxContext);
        pages = DeviceBuffer.allocate(context, pageCount * layout.hostBlockBytes());
        pool = new PagePool(pageCount);
        hostBlocks = new IntTable(context, rowCount, blocks);
        pageTable = new IntTable(context, rowCount, Math.max(blocks, slots));
        stateTable = new IntTable(context, rowCount, Math.max(1, layout.statePages(maxContext)));
        slotCounts = new IntTable(context, rowCount, 1);
        slabs = new IntTable(context, Math.max(1, host.slabs()), 2);
        slotBlock = DeviceBuffer.allocate(context, (long) rowCount * heads * slots * Integer.BYTES);
        slotUsed = DeviceBuffer.allocate(context, (long) rowCount * heads * slots * Integer.BYTES);
        offload = layout.offloads(maxContext);
        rows = new Row[rowCount];
        struct = struct(shape, blocks, slots);
        kernels = new RowKernels(library, compute, struct, layout);
    }

    private ByteBuffer struct(AttentionShape shape, int blocks, int slots) {
        ByteBuffer out = ByteBuffer.allocate(KERNEL_STRUCT_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        out.putLong(pages.address()).putLong(slabs.address()).putLong(hostBlocks.address());
        out.putLong(pageTable.address()).putLong(stateTable.address());
        out.putLong(slotBlock.address()).putLong(slotUsed.address()).putLong(slotCounts.address());
        out.putLong(layout.hostBlockBytes());
        out.putInt(layout.layers())
                .putInt(layout.kvHeads())
                .putInt(shape.heads())
                .putInt(shape.headDim());
        out.putInt(blocks).putInt(pageTable.cols()).putInt(slots).putInt(maxStatePages());
        out.putInt(host.blocksPerSlab());
        out.putInt(sparse.window())
                .putInt(sparse.stride())
                .putInt(sparse.initBlocks())
                .putInt(sparse.localBlocks());
        out.putInt(sparse.topK()).putInt(sparse.queryCut()).putInt(layout.mode().ordinal());
        out.putInt(sparse.denseLength()).putInt(layout.stateTokens());
        return out.flip();
    }

    KvLayout layout() {
        return layout;
    }

    boolean offloads() {
        return offload;
    }

    /** Of one row. */
    int maxStatePages() {
        return stateTable.cols();
    }

    /** The struct KvCache, as kernels take it by value. */
    ByteBuffer kernelStruct() {
        return struct;
    }

    @Override
    public void open(int row, int maxTokens) {
        if (rows[row] != null) {
            throw new IllegalStateException("row " + row + " is open already");
        }
        Row opened = new Row(layout.slotsFor(maxTokens));
        rows[row] = opened;
        int statePages = layout.statePages(maxTokens);
        for (int i = 0; i < statePages; i++) {
            opened.statePages.add(allocatePage());
            stateTable.set(row, i, opened.statePages.get(i));
        }
        stateTable.upload(compute, row, 0, statePages);
        slotCounts.set(row, 0, opened.slots);
        slotCounts.upload(compute, row, 0, 1);
    }

    @Override
    public void fork(int parent, int child, int length, int maxTokens) {
        Row from = row(parent);
        if (from.tokens != length) {
            throw new IllegalStateException("fork after " + length + " tokens of a cache of " + from.tokens);
        }
        boolean shares = from.prefilling && canShare(from, length, maxTokens);
        if (!shares) {
            keepSlots(parent, from);
        }
        open(child, maxTokens);
        Row to = rows[child];
        awaitCopies();
        for (int i = 0; i < layout.statePages(length); i++) {
            copyPage(to.statePages.get(i), from.statePages.get(i));
        }
        to.tokens = length;
        if (shares) {
            from.lends = true;
            sharePages(from, child, to);
        } else {
            beginSlots(parent, from, child, to);
        }
    }

    /**
     * Whether a fork may begin as a prompt on its parent's pages: the pool has pages beyond all slots for one long prompt, and
     * another one that has begun needs them.
     */
    private boolean canShare(Row parent, int length, int maxTokens) {
        if (!parent.isLong()) {
            return true; // what the fork needs beyond its own slots is a prompt's like any other
        }
        int own = WindowMath.blocks(maxTokens, sparse) - length / sparse.blockSize();
        return own <= layout.slotsFor(maxTokens)
                && Arrays.stream(rows).noneMatch(other -> other != parent && hasBegunLongPrompt(other));
    }

    private boolean hasBegunLongPrompt(Row row) {
        return row != null
                && row.prefilling
                && !row.lends
                && row.pages.stream().filter(page -> !pool.isShared(page)).count() > row.slots;
    }

    private void sharePages(Row from, int child, Row to) {
        int tail = to.tokens / sparse.blockSize();
        for (int b = 0; b < tail; b++) {
            int page = from.pages.get(b);
            pool.retain(page);
            to.pages.add(page);
            pageTable.set(child, b, page);
        }
        pageTable.upload(compute, child, 0, tail);
        if (to.tokens % sparse.blockSize() != 0) {
            takePages(child, to, tail + 1);
            awaitCopies();
            copyPage(to.pages.get(tail), from.pages.get(tail));
        }
    }

    /** Of a fork whose parent has slots: its tokens go through its own slots from the first on. */
    private void beginSlots(int parent, Row from, int child, Row to) {
        int length = to.tokens;
        to.prefilling = false;
        takePages(child, to, to.slots);
        awaitCopies();
        int blocks = WindowMath.blocks(length, sparse);
        if (!offload) {
            for (int b = 0; b < blocks; b++) {
                copyPage(to.pages.get(b), from.pages.get(b));
            }
            kernels.initSlots(child, to.slots, 0, blocks);
            return;
        }
        int tail = length / sparse.blockSize();
        boolean unfinished = length % sparse.blockSize() != 0;
        kernels.initSlots(child, to.slots, tail, unfinished ? 1 : 0);
        if (unfinished) {
            kernels.copyTail(parent, child, tail);
        }
    }

    @Override
    public void release(int row) {
        Row closed = row(row);
        rows[row] = null;
        closed.pages.forEach(pool::release);
        closed.statePages.forEach(pool::release);
        waitForCopies = true;
    }

    /** Gets rows ready for a batch: pages for prompts' new blocks, slots for decodes, host blocks. */
    void begin(BatchInputs batch) {
        for (Slice slice : batch.slices()) {
            Row row = row(slice.row());
            if (slice.start() != row.tokens) {
                throw new IllegalStateException(
                        "position " + slice.start() + " appended to a cache of " + row.tokens + " tokens");
            }
            if (slice.decode()) {
                keepSlots(slice.row(), row);
            }
        }
        for (Slice slice : batch.slices()) {
            Row row = row(slice.row());
            row.tokens += slice.count();
            if (row.prefilling) {
                takePages(slice.row(), row, WindowMath.blocks(row.tokens, sparse));
            }
            if (offload) {
                knowHostBlocks(slice.row(), row, slice.blocks());
            }
        }
        awaitCopies();
    }

    private void awaitCopies() {
        if (waitForCopies) {
            compute.waitFor(copied);
            waitForCopies = false;
        }
    }

    /** Whether the row's pages hold all of its blocks, in order. */
    boolean isPrefilling(int row) {
        return row(row).prefilling;
    }

    /** Queues the copies of the blocks that the batch's prompts finished to the host tier, behind all work so far. */
    void writeOut(BatchInputs batch) {
        if (!offload) {
            return;
        }
        computed.record(compute);
        copies.waitFor(computed);
        for (Slice slice : batch.slices()) {
            Row row = row(slice.row());
            int end = (slice.start() + slice.count()) / sparse.blockSize();
            for (int b = slice.start() / sparse.blockSize(); row.prefilling && b < end; b++) {
                int block = slice.blocks().get(b);
                long offset = block % host.blocksPerSlab() * layout.hostBlockBytes();
                PinnedBuffer slab = host.slab(block / host.blocksPerSlab());
                pages.copyTo(copies, pageOffset(row.pages.get(b)), slab, offset, layout.hostBlockBytes());
            }
        }
        copied.record(copies);
    }

    /** Host to host, on any thread. */
    void copyHostBlock(int from, int to) {
        hostBlock(to).put(0, hostBlock(from), 0, (int) layout.hostBlockBytes());
    }

    private ByteBuffer hostBlock(int block) {
        long offset = block % host.blocksPerSlab() * layout.hostBlockBytes();
        return host.slab(block / host.blocksPerSlab()).buffer(offset, (int) layout.hostBlockBytes());
    }

    private Row row(int row) {
        if (rows[row] == null) {
            throw new IllegalStateException("row " + row + " is not open");
        }
        return rows[row];
    }

    /** Turns the pages of a computed prompt into slots. */
    private void keepSlots(int number, Row row) {
        if (!row.prefilling) {
            return;
        }
        row.prefilling = false;
        row.lends = false;
        int given = Math.max(0, row.pages.size() - row.slots);
        List<Integer> first = row.pages.subList(0, given);
        first.forEach(pool::release);
        first.clear();
        waitForCopies = true;
        int kept = row.pages.size();
        for (int i = 0; i < kept; i++) {
            if (pool.isShared(row.pages.get(i))) {
                row.pages.set(i, ownCopy(row.pages.get(i)));
            }
            pageTable.set(number, i, row.pages.get(i));
        }
        pageTable.upload(compute, number, 0, kept);
        takePages(number, row, row.slots);
        kernels.initSlots(number, row.slots, given, kept);
    }

    private int ownCopy(int shared) {
        int page = allocatePage();
        awaitCopies();
        copyPage(page, shared);
        pool.release(shared);
        return page;
    }

    /** Where none is free, long prompts whose forks are done with their pages become slots. */
    private int allocatePage() {
        for (int number = 0; pool.free() == 0 && number < rows.length; number++) {
            if (rows[number] != null && rows[number].lends && rows[number].isLong()) {
                keepSlots(number, rows[number]);
            }
        }
        return pool.allocate();
    }

    private void takePages(int number, Row row, int count) {
        int had = row.pages.size();
        while (row.pages.size() < count) {
            pageTable.set(number, row.pages.size(), allocatePage());
            row.pages.add(pageTable.get(number, row.pages.size()));
        }
        pageTable.upload(compute, number, had, row.pages.size());
    }

    private void knowHostBlocks(int number, Row row, BlockTable blocks) {
        int had = row.knownBlocks;
        for (; row.knownBlocks < blocks.size(); row.knownBlocks++) {
            int block = blocks.get(row.knownBlocks);
            hostBlocks.set(number, row.knownBlocks, block);
            knowSlab(block / host.blocksPerSlab());
        }
        hostBlocks.upload(compute, number, had, row.knownBlocks);
    }

    private void knowSlab(int slab) {
        for (; knownSlabs <= slab; knownSlabs++) {
            long address = host.slab(knownSlabs).deviceAddress();
            slabs.set(knownSlabs, 0, (int) address);
            slabs.set(knownSlabs, 1, (int) (address >>> Integer.SIZE));
            slabs.upload(compute, knownSlabs, 0, 2);
        }
    }

    private void copyPage(int to, int from) {
        pages.copyFrom(compute, pageOffset(to), pages, pageOffset(from), layout.hostBlockBytes());
    }

    private long pageOffset(int page) {
        return page * layout.hostBlockBytes();
    }

    @Override
    public void close() {
        for (AutoCloseable part : List.of(
                pages,
                hostBlocks,
                pageTable,
                stateTable,
                slotCounts,
                slabs,
                slotBlock,
                slotUsed,
                copied,
                computed,
                copies)) {
            closeQuietly(part);
        }
    }

    static void closeQuietly(AutoCloseable part) {
        try {
            part.close();
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }
}
