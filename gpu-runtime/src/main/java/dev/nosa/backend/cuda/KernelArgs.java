package dev.nosa.backend.cuda;

import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Parameters of a launch, in the kernel's order. One instance serves any number of launches, since a launch copies them:
 * {@link #clear}, then put every one. One thread at a time.
 *
 * <p>They lie in native memory, behind a table of their addresses, which is what cuLaunchKernel takes, and JCuda hands a
 * pointer to native memory on as it is. A {@code Pointer.to(Pointer...)} is translated at every launch: for twelve
 * parameters that takes about 10 us, and this 0.3 us, the driver's own time apart.
 */
final class KernelArgs {
    private static final int MAX_COUNT = 64;
    private static final int TABLE_BYTES = MAX_COUNT * Long.BYTES;

    /** What all GPUs take; those from compute capability 7.0 on would take 32,764. */
    private static final int MAX_BYTES = 4096;

    private static final int ALIGNMENT = 16;

    private final Memory memory = new Memory(TABLE_BYTES + MAX_BYTES);
    private final long address = Pointer.nativeValue(memory);
    private final ByteBuffer bytes = memory.getByteBuffer(0, memory.size()).order(ByteOrder.LITTLE_ENDIAN);
    private final HostAddress table = new HostAddress(address);
    private final int[] sizes = new int[MAX_COUNT];
    private int count;
    private int end = TABLE_BYTES;

    /** Forgets all parameters. */
    KernelArgs clear() {
        count = 0;
        end = TABLE_BYTES;
        return this;
    }

    KernelArgs putInt(int value) {
        bytes.putInt(next(Integer.BYTES), value);
        return this;
    }

    /** A struct of two ints, passed by value. */
    KernelArgs putInts(int first, int second) {
        int at = next(2 * Integer.BYTES);
        bytes.putInt(at, first).putInt(at + Integer.BYTES, second);
        return this;
    }

    KernelArgs putLong(long value) {
        bytes.putLong(next(Long.BYTES), value);
        return this;
    }

    KernelArgs putFloat(float value) {
        bytes.putFloat(next(Float.BYTES), value);
        return this;
    }

    /** A device address; 0 is null. */
    KernelArgs putPointer(long deviceAddress) {
        return putLong(deviceAddress);
    }

    /** The address of a buffer's first byte. */
    KernelArgs putPointer(DeviceBuffer buffer) {
        return putLong(buffer.address());
    }

    /** A struct passed by value: the buffer's bytes from its position to its limit, padding included. */
    KernelArgs putStruct(ByteBuffer struct) {
        int length = struct.remaining();
        bytes.put(next(length), struct, struct.position(), length);
        return this;
    }

    private int next(int size) {
        int at = Math.floorDiv(end + ALIGNMENT - 1, ALIGNMENT) * ALIGNMENT;
        if (count == MAX_COUNT || size > TABLE_BYTES + MAX_BYTES - at) {
            throw new IllegalStateException("kernel parameter " + count + " of " + size + " bytes: at most " + MAX_COUNT
                    + " parameters of together " + MAX_BYTES + " bytes");
        }
        bytes.putLong(count * Long.BYTES, address + at);
        sizes[count++] = size;
        end = at + size;
        return at;
    }

    /** For cuLaunchKernel's {@code kernelParams}. */
    HostAddress table() {
        return table;
    }

    int count() {
        return count;
    }

    /** Bytes of a parameter. */
    int size(int index) {
        return sizes[index];
    }
}
