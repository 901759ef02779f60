package dev.nosa.backend.cuda;

import com.sun.jna.Pointer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Objects;
import jcuda.driver.JCudaDriver;

/**
 * Host memory that does not move: copies from it run at the link's speed, and kernels read and write it themselves at
 * {@link #deviceAddress}. Contents undefined at first. The holder orders accesses.
 */
final class PinnedBuffer implements AutoCloseable {
    private static final int FLAGS = JCudaDriver.CU_MEMHOSTALLOC_PORTABLE | JCudaDriver.CU_MEMHOSTALLOC_DEVICEMAP;
    private static final ByteBuffer EMPTY = ByteBuffer.allocateDirect(0);

    private final long address;
    private final long deviceAddress;
    private final long bytes;
    private final Runnable free;
    private boolean closed;

    /** @param free gives the memory back */
    PinnedBuffer(long address, long deviceAddress, long bytes, Runnable free) {
        this.address = address;
        this.deviceAddress = deviceAddress;
        this.bytes = bytes;
        this.free = free;
    }

    /** Pins memory; 0 bytes take none. The context is current on this thread. */
    static PinnedBuffer allocate(CudaContext context, long bytes) {
        if (bytes == 0) {
            return new PinnedBuffer(0, 0, 0, () -> {});
        }
        CudaCheck check = context.check();
        HostAddress host = new HostAddress();
        String call = "cuMemHostAlloc of " + Bytes.text(bytes);
        check.driver(call, () -> JCudaDriver.cuMemHostAlloc(host, bytes, FLAGS));
        DeviceAddress device = new DeviceAddress();
        check.driver("cuMemHostGetDevicePointer", () -> JCudaDriver.cuMemHostGetDevicePointer(device, host, 0));
        return new PinnedBuffer(
                host.value(),
                device.value(),
                bytes,
                () -> check.release("cuMemFreeHost", () -> JCudaDriver.cuMemFreeHost(host)));
    }

    /** Of the host. */
    long address() {
        return address;
    }

    /** Of the GPU, for kernels. */
    long deviceAddress() {
        return deviceAddress;
    }

    long bytes() {
        return bytes;
    }

    /** All of it, little endian; not to be used after close. Above 2 GiB take parts. */
    ByteBuffer buffer() {
        return buffer(0, Math.toIntExact(bytes));
    }

    /** A part of it, little endian; not to be used after close. */
    ByteBuffer buffer(long offset, int length) {
        Objects.checkFromIndexSize(offset, length, bytes);
        ByteBuffer view = length == 0 ? EMPTY.duplicate() : new Pointer(address + offset).getByteBuffer(0, length);
        return view.order(ByteOrder.LITTLE_ENDIAN);
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            free.run();
        }
    }
}
