package dev.nosa.backend.cuda;

import static jcuda.driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
import static jcuda.driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK;
import static jcuda.driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES;

import jcuda.driver.CUfunction;
import jcuda.driver.CUmodule;
import jcuda.driver.JCudaDriver;

/** One kernel; its name is in every error of its launches. Lives as long as its library. Engine thread only. */
final class Kernel {
    private static final int MAX_GRID_YZ = 65_535;

    /** Shared memory of a block that needs no permission. */
    private static final int DEFAULT_SHARED = 48 << 10;

    private final CudaCheck check;
    private final String name;
    private final String call;
    private final Handle function;
    private final int[] parameterSizes;
    private final int maxThreads;
    private final int maxShared;
    private int sharedLimit;

    /** JCuda hides the address, which the functions that it does not bind need. */
    private static final class Handle extends CUfunction {
        long value() {
            return getNativePointer();
        }
    }

    private Kernel(CudaContext context, String name, Handle function, DriverExtras extras) {
        check = context.check();
        this.name = name;
        this.function = function;
        call = "launch of kernel " + name;
        extras.load(check, name, function.value());
        parameterSizes = extras.parameterSizes(function.value());
        maxThreads = attribute(CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
        int fixed = attribute(CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
        maxShared = context.device().sharedBytes() - fixed;
        sharedLimit = DEFAULT_SHARED - fixed;
    }

    /** The kernel of a module, or null if the module has none of this name. */
    static Kernel find(CudaContext context, CUmodule module, String name, DriverExtras extras) {
        Handle function = new Handle();
        String call = "cuModuleGetFunction of kernel " + name;
        context.check().ensureUsable(call);
        int status = JCudaDriver.cuModuleGetFunction(function, module, name);
        if (status == CudaCheck.NOT_FOUND) {
            return null;
        }
        context.check().driverStatus(call, status);
        return new Kernel(context, name, function, extras);
    }

    private int attribute(int attribute) {
        int[] value = new int[1];
        check.driver(
                "cuFuncGetAttribute of kernel " + name,
                () -> JCudaDriver.cuFuncGetAttribute(value, attribute, function));
        return value[0];
    }

    String name() {
        return name;
    }

    /** Dynamic shared memory that a block can have, in bytes. */
    int maxSharedBytes() {
        return maxShared;
    }

    /**
     * Queues the kernel on a stream, with blocks of one dimension.
     *
     * @param blockX threads of a block
     * @param sharedBytes dynamic shared memory of a block; the limit of 48 KiB is raised as needed
     * @throws IllegalArgumentException if the dimensions or parameters cannot be the kernel's
     */
    void launch(CudaStream stream, int gridX, int gridY, int gridZ, int blockX, int sharedBytes, KernelArgs args) {
        if (gridX < 1 || gridY < 1 || gridZ < 1 || gridY > MAX_GRID_YZ || gridZ > MAX_GRID_YZ) {
            throw invalid("grid (" + gridX + ", " + gridY + ", " + gridZ + "): from 1 to 65535 in y and z");
        }
        if (blockX < 1 || blockX > maxThreads) {
            throw invalid(blockX + " threads a block: from 1 to " + maxThreads);
        }
        if (parameterSizes != null) {
            checkParameters(args);
        }
        check.ensureUsable(call);
        if (sharedBytes > sharedLimit) {
            raiseSharedLimit(sharedBytes);
        }
        int status = JCudaDriver.cuLaunchKernel(
                function, gridX, gridY, gridZ, blockX, 1, 1, sharedBytes, stream.handle(), args.table(), null);
        if (status != 0) {
            check.driverStatus(
                    String.format("%s<<<(%d, %d, %d), %d, %d>>>", call, gridX, gridY, gridZ, blockX, sharedBytes),
                    status);
        }
    }

    private void checkParameters(KernelArgs args) {
        if (args.count() != parameterSizes.length) {
            throw invalid(args.count() + " parameters: it has " + parameterSizes.length);
        }
        for (int i = 0; i < parameterSizes.length; i++) {
            if (args.size(i) != parameterSizes[i]) {
                throw invalid("parameter " + i + " of " + args.size(i) + " bytes: it has " + parameterSizes[i]);
            }
        }
    }

    private void raiseSharedLimit(int sharedBytes) {
        if (sharedBytes > maxShared) {
            throw invalid(sharedBytes + " bytes of dynamic shared memory: this GPU has " + maxShared + " for it");
        }
        check.driver(
                "cuFuncSetAttribute of kernel " + name,
                () -> JCudaDriver.cuFuncSetAttribute(
                        function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, sharedBytes));
        sharedLimit = sharedBytes;
    }

    private IllegalArgumentException invalid(String problem) {
        return new IllegalArgumentException("kernel " + name + ": " + problem);
    }
}
