package dev.nosa.backend.cuda;

import com.sun.jna.Function;
import com.sun.jna.Memory;
import com.sun.jna.NativeLibrary;
import java.util.Arrays;

/** Driver functions since CUDA 12.4, which JCuda does not bind; without them less is checked. */
final class DriverExtras {
    private static final String LIBRARY = "libcuda.so.1";
    private static final int MAX_PARAMETERS = 256;

    private final Function parameterInfo;
    private final Function load;

    private DriverExtras(Function parameterInfo, Function load) {
        this.parameterInfo = parameterInfo;
        this.load = load;
    }

    static DriverExtras find() {
        return new DriverExtras(function("cuFuncGetParamInfo"), function("cuFuncLoad"));
    }

    private static Function function(String name) {
        try {
            return NativeLibrary.getInstance(LIBRARY).getFunction(name);
        } catch (UnsatisfiedLinkError e) {
            return null; // an older driver
        }
    }

    /** Bytes of each of a kernel's parameters; null if the driver does not tell. */
    int[] parameterSizes(long kernel) {
        if (parameterInfo == null) {
            return null;
        }
        int[] sizes = new int[MAX_PARAMETERS];
        try (Memory result = new Memory(2 * Long.BYTES)) { // size_t offset, size
            int count = 0;
            while (parameterInfo.invokeInt(new Object[] {kernel, (long) count, result, result.share(Long.BYTES)})
                    == 0) {
                sizes[count++] = (int) result.getLong(Long.BYTES);
            }
            return Arrays.copyOf(sizes, count);
        }
    }

    /** Loads the kernel's code now instead of at its first launch, which could be one that is captured. */
    void load(CudaCheck check, String name, long kernel) {
        if (load != null) {
            check.driver("cuFuncLoad of kernel " + name, () -> load.invokeInt(new Object[] {kernel}));
        }
    }
}
