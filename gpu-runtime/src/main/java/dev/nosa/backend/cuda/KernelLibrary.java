package dev.nosa.backend.cuda;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import jcuda.driver.CUmodule;
import jcuda.driver.JCudaDriver;

/** The kernels of this build, loaded into a context. Engine thread only. */
final class KernelLibrary implements AutoCloseable {
    static final String MISSING =
            "this build has no CUDA kernels, because no nvcc was found when it was made; install the"
                    + " CUDA toolkit 12.0 or newer and build again";

    private final CudaContext context;
    private final DriverExtras extras = DriverExtras.find();
    private final List<CUmodule> modules = new ArrayList<>();
    private final Map<String, Kernel> kernels = new HashMap<>();

    private KernelLibrary(CudaContext context) {
        this.context = context;
    }

    /** Loads all kernels of the runtime. */
    static KernelLibrary load(CudaContext context) {
        return load(context, KernelModules.RUNTIME);
    }

    /**
     * Loads all binaries of a resource folder.
     *
     * @throws IllegalStateException if the build made none
     * @throws CudaException if one has no code for this GPU and driver
     */
    static KernelLibrary load(CudaContext context, String folder) {
        ClassLoader loader = KernelLibrary.class.getClassLoader();
        KernelModules list = KernelModules.find(loader, folder).orElseThrow(() -> new IllegalStateException(MISSING));
        KernelLibrary library = new KernelLibrary(context);
        try {
            for (String name : list.names()) {
                library.load(name + ".fatbin of nvcc " + list.nvcc(), list.read(loader, name));
            }
        } catch (RuntimeException e) {
            library.close();
            throw e;
        }
        return library;
    }

    private void load(String name, byte[] binary) {
        CUmodule module = new CUmodule();
        context.check()
                .driver(
                        "cuModuleLoadData of " + name + " on " + context.device(),
                        () -> JCudaDriver.cuModuleLoadData(module, binary));
        modules.add(module);
    }

    /** The kernel of this name, which is looked up once. */
    Kernel kernel(String name) {
        return kernels.computeIfAbsent(name, this::find);
    }

    private Kernel find(String name) {
        for (CUmodule module : modules) {
            Kernel kernel = Kernel.find(context, module, name, extras);
            if (kernel != null) {
                return kernel;
            }
        }
        throw new IllegalArgumentException("kernel " + name + " is in none of the modules that were loaded");
    }

    @Override
    public void close() {
        kernels.clear();
        for (CUmodule module : modules) {
            context.check().release("cuModuleUnload", () -> JCudaDriver.cuModuleUnload(module));
        }
        modules.clear();
    }
}
