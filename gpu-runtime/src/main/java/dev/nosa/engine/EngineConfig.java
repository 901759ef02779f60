package dev.nosa.engine;

import dev.nosa.sparse.AttentionMode;
import java.nio.file.Path;

/**
 * Every knob of an engine. {@code null} or 0 means the default that the comment gives.
 *
 * @param model folder of the checkpoint
 * @param loadFormat {@code auto}, or {@code dummy} for random weights, which measurements need
 * @param backend {@code auto}, {@code cpu} or {@code cuda}
 * @param device which GPU, from 0, among those that CUDA_VISIBLE_DEVICES leaves
 * @param mode attention mode; null: the checkpoint's
 * @param maxBatch sequences that run at once; 0: 8 on CPU, what the memory holds (at most 256) on a GPU
 * @param maxStepTokens prompt tokens computed in one step beside the running decodes; a multiple of 64; 0: 256 on CPU, 8,192 on
 *     a GPU
 * @param maxContext longest sequence, prompt and output, in tokens; 0: the model's
 * @param memory {@code offload} or {@code resident}: whether the device holds a part or all of the KV cache
 * @param slots blocks that the device holds per sequence, layer and KV head if {@code memory} is {@code offload}; 0: twice the
 *     selection on CPU, what the memory holds on a GPU
 * @param hostKvBytes size of the host block pool; 0: 40 % of the heap on CPU, with a GPU what the container or machine has
 *     beside the heap
 * @param deviceKvBytes bytes for slots and compressed keys of all running sequences; 0: 20 % of the heap on CPU, what is
 *     free on a GPU
 * @param kvDtype {@code f32} or {@code bf16}: K and V in the host tier on CPU (slots and arithmetic stay F32); a GPU has BF16
 * @param weightDtype {@code f32} or {@code bf16}: how weights are kept in memory on CPU
 * @param threads CPU threads, the engine's own included; 0: all processors
 * @param queueCapacity requests that may wait; more block their submitter
 */
public record EngineConfig(
        Path model,
        String loadFormat,
        String backend,
        int device,
        AttentionMode mode,
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
        int queueCapacity) {

    public EngineConfig {
        require(model != null, "model", "null", "the folder of a checkpoint");
        require(oneOf(loadFormat, "auto", "dummy"), "load-format", loadFormat, "auto or dummy");
        require(oneOf(backend, "auto", "cpu", "cuda"), "backend", backend, "auto, cpu or cuda");
        require(device >= 0, "device", device, "0 or more");
        require(maxBatch >= 0, "max-batch", maxBatch, "0 (automatic) or more");
        require(maxStepTokens >= 0 && maxStepTokens % 64 == 0, "max-step-tokens", maxStepTokens, "a multiple of 64");
        require(maxContext >= 0, "max-context", maxContext, "0 (the model's) or more");
        require(oneOf(memory, "offload", "resident"), "memory", memory, "offload or resident");
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
        private String loadFormat = "auto";
        private String backend = "auto";
        private int device;
        private AttentionMode mode;
        private int maxBatch;
        private int maxStepTokens;
        private int maxContext;
        private String memory = "offload";
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

        public Builder loadFormat(String value) {
            loadFormat = value;
            return this;
        }

        public Builder backend(String value) {
            backend = value;
            return this;
        }

        public Builder device(int value) {
            device = value;
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

        public Builder memory(String value) {
            memory = value;
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
                    loadFormat,
                    backend,
                    device,
                    mode,
                    maxBatch,
                    maxStepTokens,
                    maxContext,
                    memory,
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
