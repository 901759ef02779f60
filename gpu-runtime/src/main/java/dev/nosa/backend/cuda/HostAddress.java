package dev.nosa.backend.cuda;

import jcuda.Pointer;

/** A pointer to host memory outside the Java heap, as JCuda takes and gives it. */
final class HostAddress extends Pointer {
    /** To be filled in by an allocation. */
    HostAddress() {}

    HostAddress(long address) {
        super(address);
    }

    long value() {
        return getNativePointer() + getByteOffset();
    }
}
