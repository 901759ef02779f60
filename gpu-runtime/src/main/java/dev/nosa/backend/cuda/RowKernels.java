package dev.nosa.backend.cuda;

import dev.nosa.cache.KvLayout;
import java.nio.ByteBuffer;

/** Kernels on whole rows (rows.cu): slots that begin, and what a fork takes over. */
final class RowKernels {
    private static final int THREADS = 256;

    private final Kernel initSlots;
    private final Kernel copyTail;
    private final CudaStream stream;
    private final ByteBuffer struct;
    private final KvLayout layout;
    private final KernelArgs args = new KernelArgs();

    /** @param struct KvCache */
    RowKernels(KernelLibrary library, CudaStream stream, ByteBuffer struct, KvLayout layout) {
        initSlots = library.kernel("init_slots");
        copyTail = library.kernel("copy_tail");
        this.stream = stream;
        this.struct = struct;
        this.layout = layout;
    }

    /** Slots [0, count) of every layer and KV head hold blocks {@code first}, {@code first + 1}, ...; the rest nothing. */
    void initSlots(int row, int slots, int first, int count) {
        args.clear().putStruct(struct).putInt(row).putInt(slots).putInt(first).putInt(count);
        initSlots.launch(stream, layout.layers() * layout.kvHeads(), 1, 1, THREADS, 0, args);
    }

    /** Copies a block from the parent's slots to the child's slot 0. */
    void copyTail(int parent, int child, int block) {
        args.clear().putStruct(struct).putInt(parent).putInt(child).putInt(block);
        copyTail.launch(stream, layout.kvHeads(), layout.layers(), 1, THREADS, 0, args);
    }
}
