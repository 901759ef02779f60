package dev.nosa.backend.cuda;

import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Matrix products through cublasLt. Descriptors and algorithms are kept per product, so that a repeated one costs a
 * lookup and one native call. One workspace serves all, so products run on one stream, or on streams that wait for each
 * other. Engine thread only.
 */
final class CublasLt implements AutoCloseable {
    /** What NVIDIA recommends for Hopper; older GPUs want less. */
    static final long WORKSPACE_BYTES = 32L << 20;

    private static final int MAX_PLANS = 4096;

    private final CudaCheck check;
    private final Path file;
    private final long handle;
    private final DeviceBuffer workspace;
    private final Memory scalars = new Memory(2 * Float.BYTES);
    private final long one = Pointer.nativeValue(scalars);
    private final long zero = one + Float.BYTES;
    private final Map<Product, ProductPlan> plans = new LinkedHashMap<>(64, 0.75f, true);
    private boolean closed;

    /** @param workspaceBytes of GPU memory for sums that are shared out */
    private CublasLt(CudaContext context, Path file, long workspaceBytes) {
        check = context.check();
        this.file = file;
        scalars.setFloat(0, 1f);
        scalars.setFloat(Float.BYTES, 0f);
        workspace = DeviceBuffer.allocate(context, workspaceBytes);
        long[] created = new long[1];
        try {
            check.blas("cublasLtCreate of " + file, () -> CublasLtLibrary.cublasLtCreate(created));
        } catch (CudaException e) {
            workspace.close();
            throw e;
        }
        handle = created[0];
    }

    /**
     * Loads the library, of which there is one in a JVM.
     *
     * @throws IllegalStateException if there is none for the driver; the message says where it was looked for
     */
    static CublasLt open(CudaContext context, long workspaceBytes) {
        int driver = context.device().driverVersion();
        Path found = SharedLibraries.ofThisMachine()
                .cublasLt(driver)
                .orElseThrow(() -> new IllegalStateException(missing(driver)));
        try {
            return new CublasLt(context, CublasLtLibrary.load(found), workspaceBytes);
        } catch (UnsatisfiedLinkError e) {
            throw new IllegalStateException(found + " cannot be loaded: " + e.getMessage(), e);
        }
    }

    /** Why there are no products: for a driver version such as 12040. */
    static String missing(int driverVersion) {
        return "no libcublasLt.so." + (driverVersion >= 13000 ? "13 or .12" : "12")
                + " found in LD_LIBRARY_PATH, CUDA_HOME/lib64, /usr/local/cuda/lib64 or the system's folders; install"
                + " cuBLAS, or set " + SharedLibraries.BLAS_VARIABLE + " to the library, its folder or the folder of"
                + " Python packages that holds nvidia/*/lib";
    }

    /** {@code CUBLAS_STATUS_INVALID_VALUE (7): an unsupported value or parameter ...}. */
    static String statusText(int status) {
        return CublasLtLibrary.cublasLtGetStatusName(status) + " (" + status + "): "
                + CublasLtLibrary.cublasLtGetStatusString(status);
    }

    /** The library, and its version: 120601 is 12.6.1. */
    String description() {
        return file + " (version " + CublasLtLibrary.cublasLtGetVersion() + ")";
    }

    /**
     * Queues a product. All addresses are the GPU's and multiples of 16.
     *
     * @param bias of the type of {@code out}; 0 where the product has none
     * @throws CudaException if cublasLt refuses it; the message has the product
     */
    void multiply(CudaStream stream, Product product, long x, long w, long bias, long out) {
        check.ensureUsable("cublasLtMatmul");
        if ((x | w | bias | out) % ProductPlan.ALIGNMENT != 0 || product.bias() != (bias != 0)) {
            throw new IllegalArgumentException(String.format(
                    "%s: x at %#x, w at %#x, bias at %#x, out at %#x: must be multiples of %d, and the bias 0 exactly"
                            + " where there is none",
                    product, x, w, bias, out, ProductPlan.ALIGNMENT));
        }
        ProductPlan plan = plans.get(product);
        if (plan == null) {
            plan = new ProductPlan(check, handle, product, workspace.bytes());
            keep(product, plan);
        }
        int status = plan.run(handle, one, product.add() ? one : zero, x, w, bias, out, workspace, stream.address());
        if (status != 0) {
            check.blasStatus("cublasLtMatmul of " + product, status);
        }
    }

    /** Prompts end with chunks of any length, so the plans that were used least recently make room. */
    private void keep(Product product, ProductPlan plan) {
        if (plans.size() == MAX_PLANS) {
            Product oldest = plans.keySet().iterator().next();
            plans.remove(oldest).close();
        }
        plans.put(product, plan);
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            plans.values().forEach(ProductPlan::close);
            plans.clear();
            workspace.close();
            if (check.isUsable()) {
                check.blasStatus("cublasLtDestroy", CublasLtLibrary.cublasLtDestroy(handle));
            }
        }
    }
}
