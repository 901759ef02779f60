package dev.nosa.engine;

import dev.nosa.cache.KvLayout;
import dev.nosa.model.ModelConfig;
import dev.nosa.sparse.AttentionMode;

/**
 * An {@link EngineConfig} with its defaults taken from the model.
 *
 * @param maxContext longest sequence, prompt and output, in tokens
 */
public record EngineSettings(int maxContext, KvLayout layout) {

    /** An {@link IllegalArgumentException} names the key of what does not go with the model. */
    public static EngineSettings of(EngineConfig config, ModelConfig model) {
        AttentionMode mode = config.mode() == null ? model.mode() : config.mode();
        if (mode.usesImportance() && !model.importance()) {
            throw new IllegalArgumentException("mode = " + mode.configName() + ": the checkpoint " + config.model()
                    + " has no importance head (A and delta); take --mode infllm_v2 or --mode full");
        }
        if (config.maxContext() > model.maxPositions()) {
            throw new IllegalArgumentException(
                    "max-context = " + config.maxContext() + ": the model's positions end at " + model.maxPositions()
                            + "; lower --max-context or leave it out");
        }
        int maxContext = config.maxContext() == 0 ? model.maxPositions() : config.maxContext();
        int hostElementBytes = config.kvDtype().equals("bf16") ? 2 : 4;
        KvLayout layout = new KvLayout(
                model.layers(),
                model.kvHeads(),
                model.headDim(),
                mode,
                model.sparse(),
                slots(config, model, mode),
                hostElementBytes,
                Float.BYTES);
        return new EngineSettings(maxContext, layout);
    }

    private static int slots(EngineConfig config, ModelConfig model, AttentionMode mode) {
        int least = model.sparse().maxBudget() + 1;
        if (config.slots() == 0) {
            return Math.max(2 * model.sparse().maxBudget(), least);
        }
        if (mode.isSparse() && config.slots() < least) {
            throw new IllegalArgumentException("slots = " + config.slots() + ": a step attends up to " + (least - 1)
                    + " blocks a head; set --slots to " + least + " or more, or leave it out");
        }
        return config.slots();
    }
}
