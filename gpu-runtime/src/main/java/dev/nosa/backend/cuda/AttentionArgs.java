package dev.nosa.backend.cuda;

import dev.nosa.backend.AttentionShape;
import java.nio.ByteBuffer;

/** Parameters of the attention kernels: all begin with the KvCache, most with the layer. Engine thread. */
final class AttentionArgs implements AutoCloseable {
    private final KernelArgs args = new KernelArgs();
    private final ByteBuffer struct;
    private final DeviceBuffer frequencies;
    private final float ropeScale;

    AttentionArgs(CudaContext context, AttentionShape shape, ByteBuffer struct) {
        this.struct = struct;
        frequencies = DeviceBuffer.allocate(context, (long) shape.inverseFrequencies().length * Float.BYTES);
        frequencies.copyFrom(0, shape.inverseFrequencies());
        ropeScale = shape.ropeScale();
    }

    /** For the kernels that concern no layer, or all. */
    KernelArgs beginStep() {
        return args.clear().putStruct(struct);
    }

    KernelArgs begin(int layer) {
        return args.clear().putStruct(struct).putInt(layer);
    }

    /** Frequencies and scale of the rotary embedding, behind what was put since {@link #begin}. */
    KernelArgs putRope() {
        return args.putPointer(frequencies).putFloat(ropeScale);
    }

    /** What was put since {@link #begin}. */
    KernelArgs all() {
        return args;
    }

    @Override
    public void close() {
        frequencies.close();
    }
}
