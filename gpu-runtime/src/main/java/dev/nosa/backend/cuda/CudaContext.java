package dev.nosa.backend.cuda;

import static jcuda.driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR;
import static jcuda.driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR;
import static jcuda.driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
import static jcuda.driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;

import java.nio.charset.StandardCharsets;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.JCudaDriver;

/**
 * A GPU's primary context, retained until {@link #close}. It is current on the thread that opened it, which is the
 * engine's; any other thread that calls the driver makes it current first.
 */
final class CudaContext implements AutoCloseable {
    private static final int NAME_BYTES = 256;

    private final CudaCheck check;
    private final CUdevice device;
    private final CUcontext context;
    private final CudaDevice properties;

    private CudaContext(CudaCheck check, CUdevice device, CUcontext context, CudaDevice properties) {
        this.check = check;
        this.device = device;
        this.context = context;
        this.properties = properties;
    }

    /**
     * Retains the context of a GPU and makes it current on this thread.
     *
     * @param ordinal from 0, among the GPUs that CUDA_VISIBLE_DEVICES leaves
     * @throws CudaException if there is no such GPU, or it cannot be used
     */
    static CudaContext open(int ordinal) {
        JCudaLibrary.unpack();
        CudaCheck check = new CudaCheck(CudaContext::driverText, CublasLt::statusText);
        check.driver("cuInit", () -> JCudaDriver.cuInit(0));
        CUdevice device = new CUdevice();
        check.driver("cuDeviceGet of GPU " + ordinal, () -> JCudaDriver.cuDeviceGet(device, ordinal));
        CudaDevice properties = describe(check, device, ordinal);
        if (properties.computeCapability() < CudaDevice.OLDEST) {
            throw new IllegalArgumentException(properties + ": compute capability 8.0 or newer is needed");
        }
        CUcontext context = new CUcontext();
        check.driver(
                "cuDevicePrimaryCtxRetain of GPU " + ordinal,
                () -> JCudaDriver.cuDevicePrimaryCtxRetain(context, device));
        CudaContext opened = new CudaContext(check, device, context, properties);
        opened.makeCurrent();
        return opened;
    }

    /** Needs the driver to be initialized, but no context. */
    static CudaDevice describe(CudaCheck check, CUdevice device, int ordinal) {
        byte[] name = new byte[NAME_BYTES];
        check.driver("cuDeviceGetName", () -> JCudaDriver.cuDeviceGetName(name, name.length, device));
        long[] total = new long[1];
        check.driver("cuDeviceTotalMem", () -> JCudaDriver.cuDeviceTotalMem(total, device));
        int[] version = new int[1];
        check.driver("cuDriverGetVersion", () -> JCudaDriver.cuDriverGetVersion(version));
        int major = attribute(check, device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
        int minor = attribute(check, device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
        return new CudaDevice(
                ordinal,
                new String(name, StandardCharsets.UTF_8).trim(),
                10 * major + minor,
                attribute(check, device, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
                total[0],
                attribute(check, device, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN),
                version[0]);
    }

    private static int attribute(CudaCheck check, CUdevice device, int attribute) {
        int[] value = new int[1];
        check.driver("cuDeviceGetAttribute", () -> JCudaDriver.cuDeviceGetAttribute(value, attribute, device));
        return value[0];
    }

    /** {@code CUDA_ERROR_OUT_OF_MEMORY (2): out of memory}. */
    static String driverText(int status) {
        String[] name = new String[1];
        String[] meaning = new String[1];
        JCudaDriver.cuGetErrorName(status, name);
        JCudaDriver.cuGetErrorString(status, meaning);
        return name[0] == null ? "unknown error (" + status + ")" : name[0] + " (" + status + "): " + meaning[0];
    }

    CudaDevice device() {
        return properties;
    }

    /** Through which every native call of this context goes. */
    CudaCheck check() {
        return check;
    }

    /** Makes the context current on the calling thread. */
    void makeCurrent() {
        check.driver("cuCtxSetCurrent", () -> JCudaDriver.cuCtxSetCurrent(context));
    }

    /** Free bytes of the GPU's memory now; other processes may take them. */
    long freeBytes() {
        long[] free = new long[1];
        long[] total = new long[1];
        check.driver("cuMemGetInfo", () -> JCudaDriver.cuMemGetInfo(free, total));
        return free[0];
    }

    /** Waits for all work of the context; an error of a kernel surfaces here. Not while a stream is captured. */
    void synchronize() {
        check.driver("cuCtxSynchronize", JCudaDriver::cuCtxSynchronize);
    }

    /** Releases the context, which frees what was not freed. Later calls fail; later frees do nothing. */
    @Override
    public void close() {
        check.release("cuDevicePrimaryCtxRelease", () -> JCudaDriver.cuDevicePrimaryCtxRelease(device));
        check.close();
    }
}
