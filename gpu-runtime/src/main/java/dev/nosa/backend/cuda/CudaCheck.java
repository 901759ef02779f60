package dev.nosa.backend.cuda;

import java.util.Set;
import java.util.function.IntFunction;
import java.util.function.IntSupplier;

/**
 * Every native call of a context goes through here: its status is checked, and the first error that ends the context is
 * remembered, so that later calls fail at once with that cause. Safe from any thread.
 */
final class CudaCheck {
    static final int OUT_OF_MEMORY = 2;
    static final int NOT_FOUND = 500;

    /**
     * Codes after which, by cuda.h, the process has to be restarted (226, 700, 702, 714 to 719, 721, 810, 911), or the
     * context or its memory is gone (4, 214, 220, 709, 710).
     */
    private static final Set<Integer> FATAL =
            Set.of(4, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911);

    private final IntFunction<String> driverText;
    private final IntFunction<String> blasText;
    private volatile CudaException lost;
    private volatile boolean closed;

    /**
     * @param driverText name, number and meaning of a CUresult
     * @param blasText the same of a cublasStatus_t
     */
    CudaCheck(IntFunction<String> driverText, IntFunction<String> blasText) {
        this.driverText = driverText;
        this.blasText = blasText;
    }

    /** Runs a driver call; {@code call} is its name and what it is about. */
    void driver(String call, IntSupplier function) {
        ensureUsable(call);
        driverStatus(call, function.getAsInt());
    }

    /** Runs a cublasLt call. */
    void blas(String call, IntSupplier function) {
        ensureUsable(call);
        blasStatus(call, function.getAsInt());
    }

    /** Frees something, which a context that is lost or closed has done already. */
    void release(String call, IntSupplier function) {
        if (isUsable()) {
            driverStatus(call, function.getAsInt());
        }
    }

    /** Fails if the context is lost or closed: for calls that are too frequent for a lambda. */
    void ensureUsable(String call) {
        CudaException first = lost;
        if (first != null) {
            throw new CudaException(
                    call + ": not tried, because the CUDA context is lost: " + first.getMessage(),
                    first.code(),
                    true,
                    first);
        }
        if (closed) {
            throw new IllegalStateException(call + ": the CUDA context is closed");
        }
    }

    void driverStatus(String call, int status) {
        if (status == 0) {
            return;
        }
        String message = call + ": " + driverText.apply(status);
        if (!FATAL.contains(status)) {
            throw new CudaException(message, status, false, null);
        }
        throw lose(new CudaException(
                message + "; an earlier kernel may be the cause; this process cannot use the GPU any more",
                status,
                true,
                null));
    }

    void blasStatus(String call, int status) {
        if (status != 0) {
            throw new CudaException(call + ": " + blasText.apply(status), status, false, null);
        }
    }

    private synchronized CudaException lose(CudaException error) {
        if (lost == null) {
            lost = error;
        }
        return error;
    }

    /** Whether the context is neither lost nor closed. */
    boolean isUsable() {
        return lost == null && !closed;
    }

    /** After this every call fails, and nothing is freed. */
    void close() {
        closed = true;
    }
}
