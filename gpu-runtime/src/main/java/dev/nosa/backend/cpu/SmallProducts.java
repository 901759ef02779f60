package dev.nosa.backend.cpu;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/**
 * OpenBLAS's kernels for small products, which read their operands where they lie: with AVX-512 they are half as fast
 * again as the others, which copy both operands first. Which kernels are taken depends on the processor alone, or on
 * {@code OPENBLAS_CORETYPE}.
 */
final class SmallProducts {
    private static final long LIMIT = 1_000_000; // m n k up to which OpenBLAS takes them
    private static final int ROWS = 8; // a multiple of these fills the kernels
    private static final List<String> CORES = List.of("skylakex", "cooperlake", "sapphirerapids");
    private static final boolean AVAILABLE = available(System.getenv("OPENBLAS_CORETYPE"), flags());

    private SmallProducts() {}

    /** Rows of one product of a tile of {@code rows} with {@code outputs} columns of length {@code inner}. */
    static int rows(int rows, int outputs, int inner) {
        return AVAILABLE ? smallRows(rows, outputs, inner) : rows;
    }

    static int smallRows(int rows, int outputs, int inner) {
        int most = (int) (Math.min(rows, LIMIT / ((long) outputs * inner)) / ROWS) * ROWS;
        return most == 0 ? rows : most;
    }

    static boolean available(String coreType, String cpuFlags) {
        return coreType == null || coreType.isEmpty()
                ? cpuFlags.contains(" avx512vl ")
                : CORES.contains(coreType.toLowerCase(Locale.ROOT));
    }

    /** The processor's features on Linux; empty elsewhere. */
    private static String flags() {
        try {
            return Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
                    .filter(line -> line.startsWith("flags"))
                    .findFirst()
                    .map(line -> line + " ")
                    .orElse("");
        } catch (IOException e) {
            return "";
        }
    }
}
