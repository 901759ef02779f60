package dev.nosa.backend.cuda;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The host's memory. */
final class HostMemory {
    private static final Path MEMORY = Path.of("/proc/meminfo");
    private static final String AVAILABLE = "MemAvailable:";
    private static final double SHARE = 0.9;

    private HostMemory() {}

    /** Bytes that can be pinned beside the Java heap, with a tenth to spare: of the container, or of the machine. */
    static long pinnable() {
        PinnedLimit limit = PinnedLimit.ofThisProcess();
        long machine = Math.max(0, available(MEMORY) - limit.heapGrowth());
        return (long) (SHARE * Math.min(limit.bytes(), machine));
    }

    /** What the kernel says new programs can have, in bytes; 0 where it does not say. */
    static long available(Path memory) {
        try {
            return Files.readAllLines(memory).stream()
                    .filter(line -> line.startsWith(AVAILABLE))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")) << 10)
                    .findFirst()
                    .orElse(0);
        } catch (IOException e) {
            return 0; // CudaDriver refuses systems without it
        }
    }
}
