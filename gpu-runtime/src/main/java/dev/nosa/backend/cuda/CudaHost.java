package dev.nosa.backend.cuda;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** What this process finds of a GPU, its driver and libraries, for a report. Makes no context. Safe from any thread. */
public final class CudaHost {
    private static final Path DRIVER_VERSION = Path.of("proc/driver/nvidia/version");

    private CudaHost() {}

    /**
     * One thing that the CUDA backend needs.
     *
     * @param name a word or two
     * @param found whether it is there
     * @param text what was found, or what is missing and what to do
     */
    public record Part(String name, boolean found, String text) {}

    /** All parts, in the order in which they are needed; what hangs on a missing part is left out. */
    public static List<Part> parts(int device) {
        return parts(SharedLibraries.ofThisMachine(), Path.of("/"), device);
    }

    static List<Part> parts(SharedLibraries libraries, Path root, int device) {
        List<Part> parts = new ArrayList<>();
        Optional<KernelModules> kernels = KernelModules.find(CudaHost.class.getClassLoader(), KernelModules.RUNTIME);
        parts.add(kernels.map(list -> new Part("kernels", true, "compiled by nvcc " + list.nvcc()))
                .orElseGet(() -> new Part("kernels", false, KernelLibrary.MISSING)));
        Optional<Path> driver = libraries.driver();
        if (driver.isEmpty()) {
            parts.add(new Part(
                    "driver",
                    false,
                    "no NVIDIA driver: libcuda.so.1 not found; install it on the host, and start a container with its"
                            + " GPUs (the NVIDIA container toolkit, nvidia.com/gpu on Kubernetes)"));
            return parts;
        }
        parts.add(new Part("driver", true, driver.get() + kernelModule(root)));
        Optional<CudaDevice> gpu = Optional.empty();
        try {
            gpu = Optional.of(CudaDriver.describe(device));
            parts.add(new Part(
                    "GPU",
                    gpu.get().computeCapability() >= CudaDevice.OLDEST,
                    gpu.get().toString()));
        } catch (CudaException | IllegalStateException e) {
            parts.add(new Part("GPU", false, e.getMessage()));
        } catch (LinkageError e) {
            parts.add(new Part("GPU", false, CudaDriver.linkage(e)));
        }
        gpu.ifPresent(found -> parts.add(cublasLt(libraries, found.driverVersion())));
        return parts;
    }

    private static Part cublasLt(SharedLibraries libraries, int driverVersion) {
        return libraries
                .cublasLt(driverVersion)
                .map(file -> new Part("cuBLAS", true, file.toString()))
                .orElseGet(() -> new Part("cuBLAS", false, CublasLt.missing(driverVersion)));
    }

    /** {@code , NVRM version: ...} as the kernel's module says; a container may not show it. */
    private static String kernelModule(Path root) {
        try {
            return Files.readAllLines(root.resolve(DRIVER_VERSION)).stream()
                    .findFirst()
                    .map(line -> ", " + line.replaceAll("\\s+", " ").trim())
                    .orElse("");
        } catch (IOException e) {
            return "";
        }
    }
}
