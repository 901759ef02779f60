package dev.nosa.runner;

/**
 * What a {@link ModelRunner} is made with, decided by the engine.
 *
 * @param backend {@code cpu} or {@code cuda}
 * @param device which GPU; not read on CPU
 * @param hostBlocks blocks of the host tier
 * @param devicePages pages of the device tier; not read on CPU
 * @param maxContext longest sequence, in tokens
 * @param maxRows sequences that are open at once
 * @param maxBatch sequences that decode at once
 * @param maxStepTokens prompt tokens of a step
 * @param weightDtype {@code f32} or {@code bf16}; not read on a GPU, which has BF16
 * @param threads CPU threads, the engine's own included; 0: all processors
 */
public record RunnerOptions(
        String backend,
        int device,
        int hostBlocks,
        int devicePages,
        int maxContext,
        int maxRows,
        int maxBatch,
        int maxStepTokens,
        String weightDtype,
        int threads) {}
