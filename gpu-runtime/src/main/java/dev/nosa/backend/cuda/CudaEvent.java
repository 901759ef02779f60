package dev.nosa.backend.cuda;

import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.JCudaDriver;

/** A point in a stream's work, to wait for or to measure time at. One thread at a time. */
final class CudaEvent implements AutoCloseable {
    private static final int NOT_READY = 600;

    private final CudaCheck check;
    private final CUevent handle = new CUevent();
    private boolean closed;

    /** @param timed whether it measures time, which makes it slower */
    CudaEvent(CudaContext context, boolean timed) {
        check = context.check();
        int flags = timed ? CUevent_flags.CU_EVENT_DEFAULT : CUevent_flags.CU_EVENT_DISABLE_TIMING;
        check.driver("cuEventCreate", () -> JCudaDriver.cuEventCreate(handle, flags));
    }

    CUevent handle() {
        return handle;
    }

    /** Takes the place of an earlier record. */
    void record(CudaStream stream) {
        check.driver("cuEventRecord", () -> JCudaDriver.cuEventRecord(handle, stream.handle()));
    }

    /** Waits for the work before the last record. */
    void synchronize() {
        check.driver("cuEventSynchronize", () -> JCudaDriver.cuEventSynchronize(handle));
    }

    /** Whether the work before the last record is done. */
    boolean isDone() {
        check.ensureUsable("cuEventQuery");
        int status = JCudaDriver.cuEventQuery(handle);
        if (status == NOT_READY) {
            return false;
        }
        check.driverStatus("cuEventQuery", status);
        return true;
    }

    /** Milliseconds from another timed event to this one; both are done. */
    float millisSince(CudaEvent start) {
        float[] millis = new float[1];
        check.driver("cuEventElapsedTime", () -> JCudaDriver.cuEventElapsedTime(millis, start.handle, handle));
        return millis[0];
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            check.release("cuEventDestroy", () -> JCudaDriver.cuEventDestroy(handle));
        }
    }
}
