package dev.nosa.backend.cuda;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import java.nio.file.Path;

/**
 * The part of cublasLt's C interface that is used, by JNA's direct mapping: handles, addresses and {@code size_t} are
 * {@code long}. Constants and structs are those of cublasLt.h, cublas_api.h and library_types.h of CUDA 12.6, which CUDA
 * 13 keeps.
 */
@SuppressWarnings("checkstyle:ParameterNumber") // the library's own signatures
final class CublasLtLibrary {
    // cudaDataType_t
    static final int CUDA_R_32F = 0;
    static final int CUDA_R_16BF = 14;
    // cublasComputeType_t
    static final int CUBLAS_COMPUTE_32F = 68;
    // cublasOperation_t
    static final int CUBLAS_OP_T = 1;
    // cublasLtMatmulDescAttributes_t: transformations int32_t, epilogue uint32_t, pointer void*, type int32_t
    static final int MATMUL_DESC_TRANSA = 3;
    static final int MATMUL_DESC_EPILOGUE = 7;
    static final int MATMUL_DESC_BIAS_POINTER = 8;
    static final int MATMUL_DESC_BIAS_DATA_TYPE = 26;
    // cublasLtEpilogue_t
    static final int EPILOGUE_BIAS = 4;
    // cublasLtMatmulPreferenceAttributes_t: bytes uint64_t, alignments uint32_t
    static final int PREF_MAX_WORKSPACE_BYTES = 1;
    static final int PREF_MIN_ALIGNMENT_A_BYTES = 5;
    static final int PREF_MIN_ALIGNMENT_D_BYTES = 8;
    // cublasLtMatmulAlgo_t: uint64_t data[8]
    static final int ALGO_BYTES = 64;
    // cublasLtMatmulHeuristicResult_t: algo, size_t workspaceSize, int state, float wavesCount, int reserved[4]
    static final int RESULT_BYTES = 96;
    static final int RESULT_STATE_OFFSET = ALGO_BYTES + Long.BYTES;

    private static Path loaded;

    private CublasLtLibrary() {}

    /** Loads the library, once in a JVM; another file later is ignored. */
    static synchronized Path load(Path file) {
        if (loaded == null) {
            Native.register(CublasLtLibrary.class, NativeLibrary.getInstance(file.toString()));
            loaded = file;
        }
        return loaded;
    }

    static native int cublasLtCreate(long[] handle);

    static native int cublasLtDestroy(long handle);

    static native long cublasLtGetVersion();

    static native String cublasLtGetStatusName(int status);

    static native String cublasLtGetStatusString(int status);

    static native int cublasLtMatmulDescCreate(long[] descriptor, int computeType, int scaleType);

    static native int cublasLtMatmulDescDestroy(long descriptor);

    static native int cublasLtMatmulDescSetAttribute(long descriptor, int attribute, long value, long bytes);

    static native int cublasLtMatrixLayoutCreate(long[] layout, int type, long rows, long columns, long stride);

    static native int cublasLtMatrixLayoutDestroy(long layout);

    static native int cublasLtMatmulPreferenceCreate(long[] preference);

    static native int cublasLtMatmulPreferenceDestroy(long preference);

    static native int cublasLtMatmulPreferenceSetAttribute(long preference, int attribute, long value, long bytes);

    static native int cublasLtMatmulAlgoGetHeuristic(
            long handle,
            long descriptor,
            long layoutA,
            long layoutB,
            long layoutC,
            long layoutD,
            long preference,
            int requested,
            long results,
            int[] returned);

    static native int cublasLtMatmul(
            long handle,
            long descriptor,
            long alpha,
            long a,
            long layoutA,
            long b,
            long layoutB,
            long beta,
            long c,
            long layoutC,
            long d,
            long layoutD,
            long algorithm,
            long workspace,
            long workspaceBytes,
            long stream);
}
