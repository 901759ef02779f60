package dev.nosa.engine;

import dev.nosa.sparse.AttentionMode;
import java.nio.file.Path;

/**
 * Every knob of an engine. {@code null} or 0 means the default that the comment gives.
 *
 * @param model folder of the checkpoint
 * @param backend {@code auto}, {@code cpu} or {@code cuda}
 * @param mode attention mode; null: the checkpoint's
 * @param maxBatch sequences that run at once
 * @param maxStepTokens prompt tokens computed in one step beside the running decodes; a multiple of 64
 * @param maxContext longest sequence, prompt and output, in tokens; 0: the model's
 * @param slots blocks that the device holds per sequence, layer and KV head; 0: twice the selection
 * @param hostKvBytes size of the host block pool; 0: 40 % of the heap on CPU
 * @param deviceKvBytes bytes for slots and compressed keys of all running sequences; 0: 20 % of the heap on CPU
 * @param kvDtype {@code f32} or {@code bf16}: K and V in the host tier (slots and arithmetic stay F32 on CPU)
 * @param weightDtype {@code f32} or {@code bf16}: how weights are kept in memory on CPU
 * @param threads CPU threads, the engine's own included; 0: all processors
 * @param queueCapacity requests that may wait; more block their submitter
 */
public record EngineConfig(
        Path model,
        String backend,
        AttentionMode mode,
        int maxBatch,
        int maxStepTokens,
        int maxContext,
        int slots,
        long hostKvBytes,
        long deviceKvBytes,
        String kvDtype,
        String weightDtype,
        int threads,
        int queueCapacity) {

    public EngineConfig {
        require(model != null, "model", "null", "the folder of a checkpoint");
        require(oneOf(backend, "auto", "cpu", "cuda"), "backend", backend, "auto, cpu or cuda");
        require(maxBatch >= 1, "max-batch", maxBatch, "1 or more");
        require(maxStepTokens >= 64 && maxStepTokens % 64 == 0, "max-step-tokens", maxStepTokens, "a multiple of 64");
        require(maxContext >= 0, "max-context", maxContext, "0 (the model's) or more");
        require(slots >= 0, "slots", slots, "0 (automatic) or more");
        require(hostKvBytes >= 0, "host-kv", hostKvBytes, "0 (automatic) or more");
        require(deviceKvBytes >= 0, "device-kv", deviceKvBytes, "0 (automatic) or more");
        require(oneOf(kvDtype, "f32", "bf16"), "kv-dtype", kvDtype, "f32 or bf16");
        require(oneOf(weightDtype, "f32", "bf16"), "weight-dtype", weightDtype, "f32 or bf16");
        require(threads >= 0, "threads", threads, "0 (all processors) or more");
        require(queueCapacity >= 1, "queue-capacity", queueCapacity, "1 or more");
    }

    public static Builder builder(Path model) {
        return new Builder(model);
    }

    private static boolean oneOf(String value, String... known) {
        return value != null && java.util.Arrays.asList(known).contains(value);
    }

    private static void require(boolean holds, String key, Object value, String rule) {
        if (!holds) {
            throw new IllegalArgumentException(key + " = " + value + ": must be " + rule);
        }
    }

    /** Defaults, to be changed one by one. */
    public static final class Builder {
        private final Path model;
        private String backend = "auto";
        private AttentionMode mode;
        private int maxBatch = 8;
        private int maxStepTokens = 256;
        private int maxContext;
        private int slots;
        private long hostKvBytes;
        private long deviceKvBytes;
        private String kvDtype = "f32";
        private String weightDtype = "f32";
        private int threads;
        private int queueCapacity = 64;

        private Builder(Path model) {
            this.model = model;
        }

        public Builder backend(String value) {
            backend = value;
            return this;
        }

        public Builder mode(AttentionMode value) {
            mode = value;
            return this;
        }

        public Builder maxBatch(int value) {
            maxBatch = value;
            return this;
        }

        public Builder maxStepTokens(int value) {
            maxStepTokens = value;
            return this;
        }

        public Builder maxContext(int value) {
            maxContext = value;
            return this;
        }

        public Builder slots(int value) {
            slots = value;
            return this;
        }

        public Builder hostKvBytes(long value) {
            hostKvBytes = value;
            return this;
        }

        public Builder deviceKvBytes(long value) {
            deviceKvBytes = value;
            return this;
        }

        public Builder kvDtype(String value) {
            kvDtype = value;
            return this;
        }

        public Builder weightDtype(String value) {
            weightDtype = value;
            return this;
        }

        public Builder threads(int value) {
            threads = value;
            return this;
        }

        public Builder queueCapacity(int value) {
            queueCapacity = value;
            return this;
        }

        public EngineConfig build() {
            return new EngineConfig(
                    model,
                    backend,
                    mode,
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
}
