package dev.nosa.backend;

import dev.nosa.backend.cpu.CpuBackend;
import dev.nosa.cache.KvLayout;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Chooses the backend. */
public final class Backends {
    private static final Logger log = LoggerFactory.getLogger(Backends.class);

    private Backends() {}

    /**
     * What a backend is made with.
     *
     * @param maxRows sequences that are open at once
     * @param threads CPU threads, the engine's own included; 0: all processors
     * @param bf16Weights keep matrices in BF16
     */
    public record Options(
            AttentionShape shape, KvLayout layout, int hostBlocks, int maxRows, int threads, boolean bf16Weights) {}

    /** The backend {@code auto}, {@code cpu} or {@code cuda}; {@code cuda} fails where it cannot run. */
    public static Backend create(String name, Options options) {
        if (name.equals("cuda")) {
            throw new IllegalArgumentException("backend = cuda: this build has no CUDA backend; take --backend cpu");
        }
        int threads =
                options.threads() > 0 ? options.threads() : Runtime.getRuntime().availableProcessors();
        log.info("Backend cpu with {} threads (asked for: {}; this build has no CUDA backend)", threads, name);
        return new CpuBackend(
                options.shape(),
                options.layout(),
                options.hostBlocks(),
                options.maxRows(),
                threads,
                options.bf16Weights());
    }
}
