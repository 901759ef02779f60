package dev.nosa.engine;

import dev.nosa.cache.KvLayout;
import dev.nosa.model.ModelConfig;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.WindowMath;

/**
 * An {@link EngineConfig} with its defaults taken from the model, for an engine on CPU or on a GPU.
 *
 * @param maxContext longest sequence, prompt and output, in tokens
 * @param maxBatch sequences that run at once; 0: as many as the memory holds
 * @param maxStepTokens prompt tokens of a step
 * @param layout on a GPU with the fewest slots, unless they were asked for
 */
public record EngineSettings(int maxContext, int maxBatch, int maxStepTokens, KvLayout layout) {
    private static final int CPU_BATCH = 8;
    private static final int CPU_STEP_TOKENS = 256;
    private static final int GPU_STEP_TOKENS = 8192;

    /**
     * An {@link IllegalArgumentException} names the key of what does not go with the model.
     *
     * @param gpu whether the device has memory of its own
     */
    public static EngineSettings of(EngineConfig config, ModelConfig model, boolean gpu) {
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
        int hostBytes = gpu || config.kvDtype().equals("bf16") ? Short.BYTES : Float.BYTES;
        KvLayout layout = new KvLayout(
                model.layers(),
                model.kvHeads(),
                model.headDim(),
                mode,
                model.sparse(),
                slots(config, model, mode, maxContext, gpu),
                hostBytes,
                gpu ? Short.BYTES : Float.BYTES,
                gpu);
        return new EngineSettings(
                maxContext,
                config.maxBatch() > 0 || gpu ? config.maxBatch() : CPU_BATCH,
                config.maxStepTokens() > 0 ? config.maxStepTokens() : gpu ? GPU_STEP_TOKENS : CPU_STEP_TOKENS,
                layout);
    }

    private static int slots(EngineConfig config, ModelConfig model, AttentionMode mode, int maxContext, boolean gpu) {
        int least = model.sparse().maxBudget() + 1;
        if (config.memory().equals("resident")) {
            return Math.max(least, WindowMath.blocks(maxContext, model.sparse()));
        }
        if (config.slots() == 0) {
            return gpu ? least : Math.max(2 * model.sparse().maxBudget(), least);
        }
        if (mode.isSparse() && config.slots() < least) {
            throw new IllegalArgumentException("slots = " + config.slots() + ": a step attends up to " + (least - 1)
                    + " blocks a head; set --slots to " + least + " or more, or leave it out");
        }
        return config.slots();
    }
}
