package dev.nosa.spark;

import dev.nosa.engine.EngineConfig;
import dev.nosa.sparse.AttentionMode;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/** {@link EngineConfig} as it travels to executors; the meaning and default of each value stand there. */
record EngineOptions(
        String model,
        String loadFormat,
        String backend,
        String mode,
        int maxBatch,
        int maxStepTokens,
        int maxContext,
        String memory,
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
                config.loadFormat(),
                config.backend(),
                config.mode() == null ? null : config.mode().configName(),
                config.maxBatch(),
                config.maxStepTokens(),
                config.maxContext(),
                config.memory(),
                config.slots(),
                config.hostKvBytes(),
                config.deviceKvBytes(),
                config.kvDtype(),
                config.weightDtype(),
                config.threads(),
                config.queueCapacity());
    }

    /**
     * The configuration on one executor.
     *
     * @param defaultThreads counts where the options leave the number of threads open
     * @param device which GPU
     */
    EngineConfig toConfig(int defaultThreads, int device) {
        return new EngineConfig(
                Path.of(model),
                loadFormat,
                backend,
                device,
                mode == null ? null : AttentionMode.parse(mode),
                maxBatch,
                maxStepTokens,
                maxContext,
                memory,
                slots,
                hostKvBytes,
                deviceKvBytes,
                kvDtype,
                weightDtype,
                threads == 0 ? defaultThreads : threads,
                queueCapacity);
    }

    /** {@code "key = this value, but other value ..."} of the first option in which the two differ. */
    Optional<String> firstDifference(EngineOptions other) {
        Map<String, Object> others = other.byKey();
        return byKey().entrySet().stream()
                .filter(option -> !Objects.equals(option.getValue(), others.get(option.getKey())))
                .findFirst()
                .map(option -> option.getKey() + " = " + option.getValue() + ", but " + others.get(option.getKey()));
    }

    private Map<String, Object> byKey() {
        Map<String, Object> options = new LinkedHashMap<>();
        options.put("model", model);
        options.put("load-format", loadFormat);
        options.put("backend", backend);
        options.put("mode", mode == null ? "the checkpoint's" : mode);
        options.put("max-batch", maxBatch);
        options.put("max-step-tokens", maxStepTokens);
        options.put("max-context", maxContext);
        options.put("memory", memory);
        options.put("slots", slots);
        options.put("host-kv", hostKvBytes);
        options.put("device-kv", deviceKvBytes);
        options.put("kv-dtype", kvDtype);
        options.put("weight-dtype", weightDtype);
        options.put("threads", threads);
        options.put("queue-capacity", queueCapacity);
        return options;
    }
}
