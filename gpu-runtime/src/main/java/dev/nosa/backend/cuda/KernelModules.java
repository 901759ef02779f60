package dev.nosa.backend.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.Optional;
import java.util.Properties;

/**
 * The fat binaries that the build put on the class path, as its {@code kernels.properties} lists them.
 *
 * @param folder resource folder
 * @param nvcc version of the compiler, such as 12.4
 * @param names of the binaries, without ending
 */
record KernelModules(String folder, String nvcc, List<String> names) {
    private static final String LIST = "kernels.properties";

    /** Those of the runtime. */
    static final String RUNTIME = "dev/nosa/backend/cuda";

    /** Reads the list; there is none where the build found no nvcc. */
    static Optional<KernelModules> find(ClassLoader loader, String folder) {
        try (InputStream in = loader.getResourceAsStream(folder + "/" + LIST)) {
            if (in == null) {
                return Optional.empty();
            }
            Properties list = new Properties();
            list.load(in);
            String names = list.getProperty("modules", "").trim();
            return Optional.of(new KernelModules(
                    folder, list.getProperty("nvcc", "?"), names.isEmpty() ? List.of() : List.of(names.split(" +"))));
        } catch (IOException e) {
            throw new IllegalStateException(folder + "/" + LIST + " cannot be read: " + e, e);
        }
    }

    /** One fat binary. */
    byte[] read(ClassLoader loader, String name) {
        String resource = folder + "/" + name + ".fatbin";
        try (InputStream in = loader.getResourceAsStream(resource)) {
            if (in == null) {
                throw new IllegalStateException(resource + " is not on the class path, but listed beside it");
            }
            return in.readAllBytes();
        } catch (IOException e) {
            throw new IllegalStateException(resource + " cannot be read: " + e, e);
        }
    }

    /** Why a driver cannot run these, if so: it has to know the compiler's major version. */
    Optional<String> refusedBy(int driverVersion) {
        int major = Integer.parseInt(nvcc.split("\\.")[0]);
        return driverVersion / 1000 >= major
                ? Optional.empty()
                : Optional.of("the kernels of this build were compiled by nvcc " + nvcc
                        + ", and the driver runs CUDA up to " + CudaDevice.versionText(driverVersion)
                        + "; update the driver, or build with an older nvcc");
    }
}
