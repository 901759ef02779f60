package dev.nosa.runner;

/**
 * What a {@link ModelRunner} is made with, decided by the engine.
 *
 * @param backend {@code auto}, {@code cpu} or {@code cuda}
 * @param hostBlocks blocks of the host tier
 * @param maxContext longest sequence, in tokens
 * @param maxBatch rows: sequences that are open at once
 * @param kvDtype {@code f32} or {@code bf16}: K and V in the host tier
 * @param weightDtype {@code f32} or {@code bf16}
 * @param threads CPU threads, the engine's own included; 0: all processors
 */
public record RunnerOptions(
        String backend,
        int hostBlocks,
        int maxContext,
        int maxBatch,
        String kvDtype,
        String weightDtype,
        int threads) {}
