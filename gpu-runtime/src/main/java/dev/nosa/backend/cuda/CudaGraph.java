package dev.nosa.backend.cuda;

import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.JCudaDriver;

/**
 * Work of a stream that was recorded once and runs as often as wanted, with the addresses and parameters of the
 * recording. One thread at a time.
 */
final class CudaGraph implements AutoCloseable {
    private final CudaCheck check;
    private final CUgraphExec executable;
    private boolean closed;

    private CudaGraph(CudaCheck check, CUgraphExec executable) {
        this.check = check;
        this.executable = executable;
    }

    /**
     * Records what {@code work} puts on the stream, without running it. Other streams may take part through events, if
     * the stream waits for them in the end. The work must not allocate, free, synchronize or copy from pageable memory;
     * other threads may. Products and kernels should have run once before.
     */
    static CudaGraph capture(CudaContext context, CudaStream stream, Runnable work) {
        CudaCheck check = context.check();
        check.driver(
                "cuStreamBeginCapture",
                () -> JCudaDriver.cuStreamBeginCapture(
                        stream.handle(), CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
        try {
            work.run();
        } catch (RuntimeException e) {
            discard(check, stream, e);
            throw e;
        }
        CUgraph graph = new CUgraph();
        check.driver("cuStreamEndCapture", () -> JCudaDriver.cuStreamEndCapture(stream.handle(), graph));
        try {
            CUgraphExec executable = new CUgraphExec();
            check.driver("cuGraphInstantiate", () -> JCudaDriver.cuGraphInstantiate(executable, graph, 0L));
            return new CudaGraph(check, executable);
        } finally {
            check.release("cuGraphDestroy", () -> JCudaDriver.cuGraphDestroy(graph));
        }
    }

    /** Ends a recording that failed, so that the stream can be used again. */
    private static void discard(CudaCheck check, CudaStream stream, RuntimeException cause) {
        CUgraph graph = new CUgraph();
        try {
            check.release("cuStreamEndCapture", () -> JCudaDriver.cuStreamEndCapture(stream.handle(), graph));
            check.release("cuGraphDestroy", () -> JCudaDriver.cuGraphDestroy(graph));
        } catch (CudaException e) {
            cause.addSuppressed(e); // the driver may have ended an invalid recording by itself
        }
    }

    /** Queues the recorded work. */
    void launch(CudaStream stream) {
        check.ensureUsable("cuGraphLaunch");
        check.driverStatus("cuGraphLaunch", JCudaDriver.cuGraphLaunch(executable, stream.handle()));
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            check.release("cuGraphExecDestroy", () -> JCudaDriver.cuGraphExecDestroy(executable));
        }
    }
}
