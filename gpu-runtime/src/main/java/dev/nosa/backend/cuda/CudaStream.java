package dev.nosa.backend.cuda;

import jcuda.driver.CUstream;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/** A queue of GPU work that runs in order, and side by side with other streams. One thread at a time. */
final class CudaStream implements AutoCloseable {
    private final CudaCheck check;
    private final Handle handle = new Handle();
    private boolean closed;

    /** JCuda hides the address, which cublasLt needs. */
    private static final class Handle extends CUstream {
        long value() {
            return getNativePointer();
        }
    }

    CudaStream(CudaContext context) {
        this(context, 0);
    }

    private CudaStream(CudaContext context, int priority) {
        check = context.check();
        check.driver(
                "cuStreamCreateWithPriority",
                () -> JCudaDriver.cuStreamCreateWithPriority(handle, CUstream_flags.CU_STREAM_NON_BLOCKING, priority));
    }

    /** One whose thread blocks go before those of other streams that are not running yet. */
    static CudaStream urgent(CudaContext context) {
        int[] least = new int[1];
        int[] greatest = new int[1];
        context.check()
                .driver("cuCtxGetStreamPriorityRange", () -> JCudaDriver.cuCtxGetStreamPriorityRange(least, greatest));
        return new CudaStream(context, greatest[0]);
    }

    CUstream handle() {
        return handle;
    }

    long address() {
        return handle.value();
    }

    /** Waits until all work so far is done; an error of a kernel surfaces here. */
    void synchronize() {
        check.driver("cuStreamSynchronize", () -> JCudaDriver.cuStreamSynchronize(handle));
    }

    /** What is queued after this waits for the event as it was last recorded. */
    void waitFor(CudaEvent event) {
        check.driver("cuStreamWaitEvent", () -> JCudaDriver.cuStreamWaitEvent(handle, event.handle(), 0));
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            check.release("cuStreamDestroy", () -> JCudaDriver.cuStreamDestroy(handle));
        }
    }
}
