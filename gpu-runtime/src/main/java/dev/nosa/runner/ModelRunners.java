package dev.nosa.runner;

import dev.nosa.backend.AttentionShape;
import dev.nosa.backend.Backend;
import dev.nosa.backend.Backends;
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
     * Loads the model onto the backend that the options ask for.
     *
     * @throws IllegalArgumentException if that backend is not there, or the mode needs tensors that the checkpoint lacks
     */
    public static ModelRunner create(
            ModelConfig model, AttentionMode mode, Checkpoint checkpoint, KvLayout layout, RunnerOptions options) {
        Backend backend = Backends.create(
                options.backend(),
                new Backends.Options(
                        shape(model),
                        layout,
                        options.hostBlocks(),
                        options.maxBatch(),
                        options.threads(),
                        options.weightDtype().equals("bf16")));
        return create(model, mode, checkpoint, backend);
    }

    static ModelRunner create(ModelConfig model, AttentionMode mode, Checkpoint checkpoint, Backend backend) {
        try {
            if (mode.usesImportance() && !model.importance()) {
                throw new IllegalArgumentException("mode = " + mode.configName()
                        + ": the checkpoint has no importance head (self_attn.A, self_attn.delta.weight); take full or"
                        + " infllm_v2");
            }
            LlamaModel llama = ModelLoader.load(model, checkpoint, backend, mode.usesImportance());
            return new BatchRunner(backend, llama, model.vocabSize());
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
