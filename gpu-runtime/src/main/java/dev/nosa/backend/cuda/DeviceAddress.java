package dev.nosa.backend.cuda;

import jcuda.driver.CUdeviceptr;

/** A device pointer, as JCuda takes and gives it. */
final class DeviceAddress extends CUdeviceptr {
    /** To be filled in by an allocation. */
    DeviceAddress() {}

    DeviceAddress(long address) {
        super(new CUdeviceptr(), address); // an offset from null
    }

    long value() {
        return getNativePointer() + getByteOffset();
    }
}
