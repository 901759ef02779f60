package dev.nosa.backend;

import dev.nosa.backend.cpu.CpuBackend;
import dev.nosa.backend.cuda.CudaBackend;
import dev.nosa.backend.cuda.CudaDriver;
import dev.nosa.backend.cuda.DeviceNeeds;
import dev.nosa.cache.DeviceMemory;
import dev.nosa.cache.KvLayout;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Chooses the backend. */
public final class Backends {
    public static final String CPU = "cpu";
    public static final String CUDA = "cuda";

    private static final Logger log = LoggerFactory.getLogger(Backends.class);

    private Backends() {}

    /**
     * What a backend is made with.
     *
     * @param device which GPU, from 0; not read on CPU
     * @param hostBlocks blocks of the host tier
     * @param devicePages pages of the device tier; not read on CPU
     * @param maxRows sequences that are open at once
     * @param maxBatch sequences that decode at once
     * @param maxStepTokens prompt tokens of a step
     * @param maxContext longest sequence, in tokens
     * @param threads CPU threads, the engine's own included; 0: all processors
     * @param bf16Weights keep matrices in BF16, as a GPU always does
     */
    public record Options(
            AttentionShape shape,
            KvLayout layout,
            ModelSize size,
            int device,
            int hostBlocks,
            int devicePages,
            int maxRows,
            int maxBatch,
            int maxStepTokens,
            int maxContext,
            int threads,
            boolean bf16Weights) {}

    /**
     * The name of the backend that {@code auto}, {@code cpu} or {@code cuda} stands for, which is logged: {@code auto} is
     * {@code cuda} where that can run, else {@code cpu}.
     *
     * @throws IllegalArgumentException if it is {@code cuda} and that cannot run here; the message says why
     */
    public static String resolve(String name, int device) {
        if (name.equals(CPU)) {
            log.info("Backend cpu, as asked for");
            return CPU;
        }
        Optional<String> reason = CudaDriver.unavailable(device);
        if (reason.isEmpty()) {
            log.info("Backend cuda (asked for: {})", name);
            return CUDA;
        }
        if (name.equals(CUDA)) {
            throw new IllegalArgumentException("backend = cuda: " + reason.get() + "; or take --backend cpu");
        }
        log.info("Backend cpu (asked for: {}; {})", name, reason.get());
        return CPU;
    }

    /** What the GPU has and needs. */
    public static DeviceMemory deviceMemory(Options options) {
        return DeviceNeeds.of(options);
    }

    /** The backend of a name that {@link #resolve} gave. */
    public static Backend create(String name, Options options) {
        if (name.equals(CUDA)) {
            return CudaBackend.open(options);
        }
        int threads =
                options.threads() > 0 ? options.threads() : Runtime.getRuntime().availableProcessors();
        log.info("{} CPU threads", threads);
        return new CpuBackend(
                options.shape(),
                options.layout(),
                options.hostBlocks(),
                options.maxRows(),
                threads,
                options.bf16Weights());
    }
}
