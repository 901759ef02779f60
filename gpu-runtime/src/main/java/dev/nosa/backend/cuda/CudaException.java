package dev.nosa.backend.cuda;

/**
 * A call of the CUDA driver or of cublasLt that failed. The message has the call, the code's name and number, and what
 * they mean; kernels run asynchronously, so the call that reports an error may be a later one than the one at fault.
 */
public final class CudaException extends RuntimeException {
    private final int code;
    private final boolean contextLost;

    CudaException(String message, int code, boolean contextLost, Throwable cause) {
        super(message, cause);
        this.code = code;
        this.contextLost = contextLost;
    }

    /** A {@code CUresult}, or a {@code cublasStatus_t} where the message names a cublasLt call. */
    public int code() {
        return code;
    }

    /** Whether the GPU cannot be used any more by this process: every later call fails with this first cause. */
    public boolean isContextLost() {
        return contextLost;
    }
}
