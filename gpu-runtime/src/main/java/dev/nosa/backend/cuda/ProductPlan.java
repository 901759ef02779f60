package dev.nosa.backend.cuda;

import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import java.util.ArrayList;
import java.util.List;

/**
 * Descriptors and the chosen algorithm of one product. cublasLt counts columns first: a row-major matrix is the
 * transposed one to it, so it computes {@code out^T[outputs][rows] = w * x^T}, with {@code w^T} stored and {@code w}
 * transposed.
 */
final class ProductPlan implements AutoCloseable {
    /** Of all operands; more would exclude rows in the middle of a batch. */
    static final int ALIGNMENT = 16;

    private static final int CANDIDATES = 8;

    private final CudaCheck check;
    private final Product product;
    private final List<Runnable> frees = new ArrayList<>();
    private final Memory value = new Memory(Long.BYTES);
    private final Memory algorithms = new Memory((long) CANDIDATES * CublasLtLibrary.RESULT_BYTES);
    private final long descriptor;
    private final long weights;
    private final long input;
    private final long output;
    private final long algorithm;

    ProductPlan(CudaCheck check, long handle, Product product, long workspaceBytes) {
        this.check = check;
        this.product = product;
        try {
            descriptor = descriptor();
            weights = layout(CublasLtLibrary.CUDA_R_16BF, product.inputs(), product.outputs());
            input = layout(CublasLtLibrary.CUDA_R_16BF, product.inputs(), product.rows());
            output = layout(product.type().code(), product.outputs(), product.rows());
            algorithm = choose(handle, workspaceBytes);
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    private long descriptor() {
        long[] created = new long[1];
        check.blas(
                "cublasLtMatmulDescCreate",
                () -> CublasLtLibrary.cublasLtMatmulDescCreate(
                        created, CublasLtLibrary.CUBLAS_COMPUTE_32F, CublasLtLibrary.CUDA_R_32F));
        long made = created[0];
        frees.add(() -> check.blasStatus("cublasLtMatmulDescDestroy", CublasLtLibrary.cublasLtMatmulDescDestroy(made)));
        set(made, CublasLtLibrary.MATMUL_DESC_TRANSA, CublasLtLibrary.CUBLAS_OP_T);
        if (product.bias()) {
            set(made, CublasLtLibrary.MATMUL_DESC_EPILOGUE, CublasLtLibrary.EPILOGUE_BIAS);
            set(made, CublasLtLibrary.MATMUL_DESC_BIAS_DATA_TYPE, product.type().code());
        }
        return made;
    }

    private void set(long made, int attribute, int number) {
        value.setInt(0, number);
        check.blas(
                "cublasLtMatmulDescSetAttribute " + attribute,
                () -> CublasLtLibrary.cublasLtMatmulDescSetAttribute(
                        made, attribute, Pointer.nativeValue(value), Integer.BYTES));
    }

    /** Columns first, without gaps. */
    private long layout(int type, int rows, int columns) {
        long[] created = new long[1];
        check.blas(
                "cublasLtMatrixLayoutCreate",
                () -> CublasLtLibrary.cublasLtMatrixLayoutCreate(created, type, rows, columns, rows));
        long made = created[0];
        frees.add(() ->
                check.blasStatus("cublasLtMatrixLayoutDestroy", CublasLtLibrary.cublasLtMatrixLayoutDestroy(made)));
        return made;
    }

    /** The first algorithm that cublasLt's heuristics find, which they expect to be the fastest. */
    private long choose(long handle, long workspaceBytes) {
        long preference = preference(workspaceBytes);
        int[] returned = new int[1];
        if (product.bias()) {
            setBias(ALIGNMENT); // the heuristics look at its alignment
        }
        long results = Pointer.nativeValue(algorithms);
        check.blas(
                "cublasLtMatmulAlgoGetHeuristic of " + product,
                () -> CublasLtLibrary.cublasLtMatmulAlgoGetHeuristic(
                        handle, descriptor, weights, input, output, output, preference, CANDIDATES, results, returned));
        for (int i = 0; i < returned[0]; i++) {
            long at = (long) i * CublasLtLibrary.RESULT_BYTES;
            if (algorithms.getInt(at + CublasLtLibrary.RESULT_STATE_OFFSET) == 0) {
                return results + at;
            }
        }
        throw new IllegalStateException("cublasLt has no algorithm for " + product);
    }

    private long preference(long workspaceBytes) {
        long[] created = new long[1];
        check.blas("cublasLtMatmulPreferenceCreate", () -> CublasLtLibrary.cublasLtMatmulPreferenceCreate(created));
        long made = created[0];
        frees.add(() -> check.blasStatus(
                "cublasLtMatmulPreferenceDestroy", CublasLtLibrary.cublasLtMatmulPreferenceDestroy(made)));
        value.setLong(0, workspaceBytes);
        prefer(made, CublasLtLibrary.PREF_MAX_WORKSPACE_BYTES, Long.BYTES);
        value.setInt(0, ALIGNMENT);
        for (int attribute = CublasLtLibrary.PREF_MIN_ALIGNMENT_A_BYTES;
                attribute <= CublasLtLibrary.PREF_MIN_ALIGNMENT_D_BYTES;
                attribute++) {
            prefer(made, attribute, Integer.BYTES);
        }
        return made;
    }

    private void prefer(long made, int attribute, long bytes) {
        check.blas(
                "cublasLtMatmulPreferenceSetAttribute " + attribute,
                () -> CublasLtLibrary.cublasLtMatmulPreferenceSetAttribute(
                        made, attribute, Pointer.nativeValue(value), bytes));
    }

    private void setBias(long address) {
        value.setLong(0, address);
        int status = CublasLtLibrary.cublasLtMatmulDescSetAttribute(
                descriptor, CublasLtLibrary.MATMUL_DESC_BIAS_POINTER, Pointer.nativeValue(value), Long.BYTES);
        check.blasStatus("cublasLtMatmulDescSetAttribute of the bias", status);
    }

    /** Runs it; {@code one} and {@code beta} are addresses of F32 scalars in host memory. */
    @SuppressWarnings("checkstyle:ParameterNumber") // those of the library's call that differ from one to the next
    int run(
            long handle,
            long one,
            long beta,
            long x,
            long w,
            long bias,
            long out,
            DeviceBuffer workspace,
            long stream) {
        if (product.bias()) {
            setBias(bias);
        }
        return CublasLtLibrary.cublasLtMatmul(
                handle,
                descriptor,
                one,
                w,
                weights,
                x,
                input,
                beta,
                out,
                output,
                out,
                output,
                algorithm,
                workspace.address(),
                workspace.bytes(),
                stream);
    }

    @Override
    public void close() {
        frees.forEach(Runnable::run);
        frees.clear();
    }
}
