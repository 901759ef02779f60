package dev.nosa.spark;

import dev.nosa.engine.EngineConfig;
import dev.nosa.sparse.AttentionMode;
import java.io.Serializable;
import java.nio.file.Path;

/** {@link EngineConfig} as it travels to executors; the meaning and default of each value stand there. */
record EngineOptions(
        String model,
        String backend,
        String mode,
        int maxBatch,
        int maxStepTokens,
        int maxContext,
        int slots,
        long hostKvBytes,
        long deviceKvBytes,
        String kvDtype,
        String weightDtype,
        int threads,
        int queueCapacity)
        implements Serializable {

    static EngineOptions of(EngineConfig config) {
        return new EngineOptions(
                config.model().toString(),
                config.backend(),
                config.mode() == null ? null : config.mode().configName(),
                config.maxBatch(),
                config.maxStepTokens(),
                config.maxContext(),
                config.slots(),
                config.hostKvBytes(),
                config.deviceKvBytes(),
                config.kvDtype(),
                config.weightDtype(),
                config.threads(),
                config.queueCapacity());
    }

    EngineConfig toConfig() {
        return new EngineConfig(
                Path.of(model),
                backend,
                mode == null ? null : AttentionMode.parse(mode),
                maxBatch,
                maxStepTokens,
                maxContext,
                slots,
                hostKvBytes,
                deviceKvBytes,
                kvDtype,
                weightDtype,
                threads,
                queueCapacity);
    }
}
