package dev.nosa.backend.cuda;

import com.sun.jna.Native;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.util.Objects;
import jcuda.Pointer;
import jcuda.driver.JCudaDriver;

/**
 * Memory of the GPU; contents undefined at first. Offsets and counts of bytes are {@code long}, and checked.
 *
 * <p>The plain copies and {@link #fill} wait: for all work of the context before them, and for themselves. So they are
 * in order with every stream, and cannot be captured. Those with a stream are queued on it, and the host memory is the
 * stream's until it has come that far.
 */
final class DeviceBuffer implements AutoCloseable {
    private final CudaContext context;
    private final CudaCheck check;
    private final long address;
    private final long bytes;
    private boolean closed;

    private DeviceBuffer(CudaContext context, long address, long bytes) {
        this.context = context;
        check = context.check();
        this.address = address;
        this.bytes = bytes;
    }

    /**
     * Allocates memory, aligned to 256 bytes; 0 bytes take none and have address 0.
     *
     * @throws CudaException where there is not enough; the message says how much is free
     */
    static DeviceBuffer allocate(CudaContext context, long bytes) {
        if (bytes < 0) {
            throw new IllegalArgumentException("a device buffer of " + bytes + " bytes");
        }
        if (bytes == 0) {
            return new DeviceBuffer(context, 0, 0);
        }
        DeviceAddress address = new DeviceAddress();
        String call = "cuMemAlloc of " + Bytes.text(bytes);
        context.check().ensureUsable(call);
        int status = JCudaDriver.cuMemAlloc(address, bytes);
        if (status == CudaCheck.OUT_OF_MEMORY) {
            call += " where " + Bytes.text(context.freeBytes()) + " are free";
        }
        context.check().driverStatus(call, status);
        return new DeviceBuffer(context, address.value(), bytes);
    }

    /** Device address of the first byte. */
    long address() {
        return address;
    }

    /** Device address of the byte at {@code offset}, which may be the end. */
    long address(long offset) {
        Objects.checkFromIndexSize(offset, 0, bytes);
        return address + offset;
    }

    long bytes() {
        return bytes;
    }

    /** Sets every byte. */
    void fill(int value) {
        if (bytes > 0) {
            context.synchronize();
            check.driver("cuMemsetD8", () -> JCudaDriver.cuMemsetD8(at(0), (byte) value, bytes));
            context.synchronize();
        }
    }

    /** Sets bytes, on a stream. */
    void fill(CudaStream stream, long offset, long length, int value) {
        Objects.checkFromIndexSize(offset, length, bytes);
        if (length > 0) {
            check.driver(
                    "cuMemsetD8Async",
                    () -> JCudaDriver.cuMemsetD8Async(at(offset), (byte) value, length, stream.handle()));
        }
    }

    /** Copies from the buffer's position to its limit, and leaves both. */
    void copyFrom(long offset, ByteBuffer source) {
        try {
            upload(offset, pointer(source), source.remaining());
        } finally {
            Reference.reachabilityFence(source); // the pointer does not keep it
        }
    }

    void copyFrom(long offset, byte[] source) {
        upload(offset, Pointer.to(source), source.length);
    }

    void copyFrom(long offset, short[] source) {
        upload(offset, Pointer.to(source), (long) source.length * Short.BYTES);
    }

    void copyFrom(long offset, int[] source) {
        upload(offset, Pointer.to(source), (long) source.length * Integer.BYTES);
    }

    void copyFrom(long offset, long[] source) {
        upload(offset, Pointer.to(source), (long) source.length * Long.BYTES);
    }

    void copyFrom(long offset, float[] source) {
        upload(offset, Pointer.to(source), (long) source.length * Float.BYTES);
    }

    /** Fills the buffer from its position to its limit, and leaves both. */
    void copyTo(long offset, ByteBuffer target) {
        try {
            download(offset, pointer(target), target.remaining());
        } finally {
            Reference.reachabilityFence(target); // the pointer does not keep it
        }
    }

    void copyTo(long offset, byte[] target) {
        download(offset, Pointer.to(target), target.length);
    }

    void copyTo(long offset, short[] target) {
        download(offset, Pointer.to(target), (long) target.length * Short.BYTES);
    }

    void copyTo(long offset, int[] target) {
        download(offset, Pointer.to(target), (long) target.length * Integer.BYTES);
    }

    void copyTo(long offset, long[] target) {
        download(offset, Pointer.to(target), (long) target.length * Long.BYTES);
    }

    void copyTo(long offset, float[] target) {
        download(offset, Pointer.to(target), (long) target.length * Float.BYTES);
    }

    /** Copies from pinned memory, on a stream. */
    void copyFrom(CudaStream stream, long offset, PinnedBuffer source, long sourceOffset, long length) {
        Objects.checkFromIndexSize(offset, length, bytes);
        Objects.checkFromIndexSize(sourceOffset, length, source.bytes());
        if (length > 0) {
            HostAddress from = new HostAddress(source.address() + sourceOffset);
            check.driver(
                    "cuMemcpyHtoDAsync of " + Bytes.text(length),
                    () -> JCudaDriver.cuMemcpyHtoDAsync(at(offset), from, length, stream.handle()));
        }
    }

    /** Copies to pinned memory, on a stream. */
    void copyTo(CudaStream stream, long offset, PinnedBuffer target, long targetOffset, long length) {
        Objects.checkFromIndexSize(offset, length, bytes);
        Objects.checkFromIndexSize(targetOffset, length, target.bytes());
        if (length > 0) {
            HostAddress to = new HostAddress(target.address() + targetOffset);
            check.driver(
                    "cuMemcpyDtoHAsync of " + Bytes.text(length),
                    () -> JCudaDriver.cuMemcpyDtoHAsync(to, at(offset), length, stream.handle()));
        }
    }

    /** Copies within the GPU, on a stream. */
    void copyFrom(CudaStream stream, long offset, DeviceBuffer source, long sourceOffset, long length) {
        Objects.checkFromIndexSize(offset, length, bytes);
        Objects.checkFromIndexSize(sourceOffset, length, source.bytes);
        if (length > 0) {
            check.driver(
                    "cuMemcpyDtoDAsync of " + Bytes.text(length),
                    () -> JCudaDriver.cuMemcpyDtoDAsync(at(offset), source.at(sourceOffset), length, stream.handle()));
        }
    }

    private void upload(long offset, Pointer source, long length) {
        Objects.checkFromIndexSize(offset, length, bytes);
        if (length > 0) {
            context.synchronize();
            check.driver(
                    "cuMemcpyHtoD of " + Bytes.text(length),
                    () -> JCudaDriver.cuMemcpyHtoD(at(offset), source, length));
            context.synchronize(); // from pageable memory the call may return before the last bytes have arrived
        }
    }

    private void download(long offset, Pointer target, long length) {
        Objects.checkFromIndexSize(offset, length, bytes);
        if (length > 0) {
            context.synchronize();
            check.driver(
                    "cuMemcpyDtoH of " + Bytes.text(length),
                    () -> JCudaDriver.cuMemcpyDtoH(target, at(offset), length));
        }
    }

    private static Pointer pointer(ByteBuffer buffer) {
        if (buffer.isDirect()) {
            long start = com.sun.jna.Pointer.nativeValue(Native.getDirectBufferPointer(buffer));
            return new HostAddress(start + buffer.position());
        }
        return Pointer.to(buffer.array()).withByteOffset((long) buffer.arrayOffset() + buffer.position());
    }

    private DeviceAddress at(long offset) {
        return new DeviceAddress(address + offset);
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            if (address != 0) {
                check.release("cuMemFree", () -> JCudaDriver.cuMemFree(at(0)));
            }
        }
    }
}
