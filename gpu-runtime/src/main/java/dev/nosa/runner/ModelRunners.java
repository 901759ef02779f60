package dev.nosa.runner;

import dev.nosa.backend.AttentionShape;
import dev.nosa.backend.Backend;
import dev.nosa.backend.Backends;
import dev.nosa.cache.DeviceMemory;
import dev.nosa.cache.KvLayout;
import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.model.LlamaModel;
import dev.nosa.model.ModelConfig;
import dev.nosa.model.ModelLoader;
import dev.nosa.sparse.AttentionMode;

/** Makes runners. */
public final class ModelRunners {
    private ModelRunners() {}

    /**
     * The backend that {@code auto}, {@code cpu} or {@code cuda} stands for on this machine.
     *
     * @throws IllegalArgumentException if it is {@code cuda} and that cannot run here
     */
    public static String resolveBackend(String name, int device) {
        return Backends.resolve(name, device);
    }

    /** Whether a backend of {@link #resolveBackend} has memory of its own. */
    public static boolean hasDeviceMemory(String backend) {
        return backend.equals(Backends.CUDA);
    }

    /**
     * What the device has, and needs beside KV pages.
     *
     * @param layout with any number of slots
     * @param options of which hosts, pages and batch are not known yet
     */
    public static DeviceMemory deviceMemory(ModelConfig model, KvLayout layout, RunnerOptions options) {
        return Backends.deviceMemory(options(model, layout, options));
    }

    /**
     * Loads the model onto the backend that the options name.
     *
     * @throws IllegalArgumentException if the mode needs tensors that the checkpoint lacks
     */
    public static ModelRunner create(
            ModelConfig model, AttentionMode mode, Checkpoint checkpoint, KvLayout layout, RunnerOptions options) {
        return create(model, mode, checkpoint, Backends.create(options.backend(), options(model, layout, options)));
    }

    /** What a backend for the model is created with. */
    public static Backends.Options options(ModelConfig model, KvLayout layout, RunnerOptions options) {
        return new Backends.Options(
                shape(model),
                layout,
                LlamaModel.size(model),
                options.device(),
                options.hostBlocks(),
                options.devicePages(),
                options.maxRows(),
                options.maxBatch(),
                options.maxStepTokens(),
                options.maxContext(),
                options.threads(),
                options.weightDtype().equals("bf16"));
    }

    /** Loads the model onto a backend, which the runner closes; so does this if it fails. */
    public static ModelRunner create(ModelConfig model, AttentionMode mode, Checkpoint checkpoint, Backend backend) {
        try {
            if (mode.usesImportance() && !model.importance()) {
                throw new IllegalArgumentException("mode = " + mode.configName()
                        + ": the checkpoint has no importance head (self_attn.A, self_attn.delta.weight); take full or"
                        + " infllm_v2");
            }
            LlamaModel llama = ModelLoader.load(model, checkpoint, backend, mode.usesImportance());
            return new BatchRunner(backend, llama);
        } catch (RuntimeException e) {
            backend.close();
            throw e;
        }
    }

    static AttentionShape shape(ModelConfig model) {
        return new AttentionShape(
                model.heads(),
                model.kvHeads(),
                model.headDim(),
                model.rope().inverseFrequencies(),
                model.rope().attentionFactor());
    }
}
