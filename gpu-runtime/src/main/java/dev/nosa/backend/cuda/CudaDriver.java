package dev.nosa.backend.cuda;

import java.util.Optional;
import jcuda.driver.CUdevice;
import jcuda.driver.JCudaDriver;

/** Whether the CUDA backend can run here. Safe from any thread. */
public final class CudaDriver {
    private CudaDriver() {}

    /** Why the first GPU cannot be used; see {@link #unavailable(int)}. */
    public static Optional<String> unavailable() {
        return unavailable(0);
    }

    /**
     * Why a GPU cannot be used, in one line, or nothing. No context is made, and where there is no driver nothing native
     * is loaded.
     *
     * @param ordinal from 0, among the GPUs that CUDA_VISIBLE_DEVICES leaves
     */
    public static Optional<String> unavailable(int ordinal) {
        Optional<String> reason = beforeLoading(
                SharedLibraries.ofThisMachine(), System.getProperty("os.name"), System.getProperty("os.arch"));
        return reason.isPresent() ? reason : ofDevice(ordinal);
    }

    /** What files and the platform tell. */
    static Optional<String> beforeLoading(SharedLibraries libraries, String system, String architecture) {
        if (!system.equals("Linux") || !architecture.equals("amd64")) {
            return Optional.of("CUDA is supported on Linux x86-64 only, and this is " + system + " " + architecture);
        }
        if (libraries.driver().isEmpty()) {
            return Optional.of("no NVIDIA driver: libcuda.so.1 not found");
        }
        if (KernelModules.find(CudaDriver.class.getClassLoader(), KernelModules.RUNTIME)
                .isEmpty()) {
            return Optional.of(KernelLibrary.MISSING);
        }
        return Optional.empty();
    }

    private static Optional<String> ofDevice(int ordinal) {
        try {
            return refuses(describe(ordinal));
        } catch (CudaException | IllegalStateException e) {
            return Optional.of(e.getMessage());
        } catch (LinkageError e) {
            return Optional.of(linkage(e));
        }
    }

    /**
     * What a GPU is, without a context.
     *
     * @throws IllegalStateException if there is no such GPU, or a call fails
     * @throws LinkageError if JCuda's native library cannot be loaded
     */
    static CudaDevice describe(int ordinal) {
        CudaCheck check = new CudaCheck(CudaContext::driverText, CublasLt::statusText);
        JCudaLibrary.unpack();
        check.driver("cuInit", () -> JCudaDriver.cuInit(0));
        int[] count = new int[1];
        check.driver("cuDeviceGetCount", () -> JCudaDriver.cuDeviceGetCount(count));
        if (ordinal >= count[0]) {
            throw new IllegalStateException("no GPU " + ordinal + " among the " + count[0] + " that this process sees");
        }
        CUdevice device = new CUdevice();
        check.driver("cuDeviceGet", () -> JCudaDriver.cuDeviceGet(device, ordinal));
        return CudaContext.describe(check, device, ordinal);
    }

    /** Why JCuda cannot be loaded, in one line. */
    static String linkage(LinkageError e) {
        String message = String.valueOf(e.getMessage());
        return "JCuda's native library cannot be loaded: "
                + message.lines().findFirst().orElse(e.toString());
    }

    private static Optional<String> refuses(CudaDevice device) {
        if (device.computeCapability() < CudaDevice.OLDEST) {
            return Optional.of(device + ": compute capability 8.0 or newer is needed");
        }
        Optional<String> kernels = KernelModules.find(CudaDriver.class.getClassLoader(), KernelModules.RUNTIME)
                .flatMap(list -> list.refusedBy(device.driverVersion()));
        if (kernels.isPresent()) {
            return kernels;
        }
        return SharedLibraries.ofThisMachine().cublasLt(device.driverVersion()).isPresent()
                ? Optional.empty()
                : Optional.of(CublasLt.missing(device.driverVersion()));
    }
}
