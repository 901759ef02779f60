package dev.nosa.runner;

/**
 * What a runner needs to know beside model and layout.
 *
 * @param backend {@code auto}, {@code cpu} or {@code cuda}
 * @param hostBlocks blocks of the host tier; ids are below it
 * @param maxContext longest sequence in tokens
 * @param maxBatch sequences open at once; rows are below it
 * @param kvDtype {@code f32} or {@code bf16}
 * @param weightDtype {@code f32} or {@code bf16}
 * @param threads CPU threads; 0: all processors
 */
public record RunnerOptions(
        String backend,
        int hostBlocks,
        int maxContext,
        int maxBatch,
        String kvDtype,
        String weightDtype,
        int threads) {}
