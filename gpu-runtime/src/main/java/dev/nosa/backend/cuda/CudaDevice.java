package dev.nosa.backend.cuda;

/**
 * What a GPU is.
 *
 * @param computeCapability ten times the major plus the minor version: 90 is Hopper
 * @param totalBytes of its memory
 * @param sharedBytes shared memory that one block can have at most
 * @param driverVersion newest CUDA version that the driver supports: 12040 is 12.4
 */
record CudaDevice(
        int ordinal,
        String name,
        int computeCapability,
        int multiprocessors,
        long totalBytes,
        int sharedBytes,
        int driverVersion) {
    /** Oldest compute capability that the kernels are compiled for. */
    static final int OLDEST = 80;

    @Override
    public String toString() {
        return String.format(
                "GPU %d: %s (compute capability %d.%d, %d multiprocessors, %s), driver for CUDA %s",
                ordinal,
                name,
                computeCapability / 10,
                computeCapability % 10,
                multiprocessors,
                Bytes.text(totalBytes),
                versionText(driverVersion));
    }

    static String versionText(int version) {
        return version / 1000 + "." + version % 1000 / 10;
    }
}
