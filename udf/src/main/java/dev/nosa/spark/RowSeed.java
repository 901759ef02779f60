package dev.nosa.spark;

import java.nio.charset.StandardCharsets;

/** The seed of one generation: from what the user can see alone, so that partitions and batch mates do not matter. */
final class RowSeed {
    private static final long OFFSET = 0xcbf29ce484222325L; // FNV-1a, 64 bits
    private static final long PRIME = 0x100000001b3L;

    private RowSeed() {}

    /** From the run's seed, the row's id and the prompt's name, which is null where there is none. */
    static long of(long seed, String id, String prompt) {
        String key = prompt == null ? id : id + '\0' + prompt;
        long hash = OFFSET;
        for (byte b : key.getBytes(StandardCharsets.UTF_8)) {
            hash = (hash ^ (b & 0xff)) * PRIME;
        }
        return mix(seed ^ mix(hash));
    }

    /** From the run's seed and the prompt's tokens: equal prompts have equal seeds. */
    static long of(long seed, int[] tokens) {
        long hash = OFFSET;
        for (int token : tokens) {
            hash = (hash ^ token) * PRIME;
        }
        return mix(seed ^ mix(hash));
    }

    /** SplitMix64's finalizer: ids that differ in one character get seeds that differ everywhere. */
    private static long mix(long z) {
        long a = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
        long b = (a ^ (a >>> 27)) * 0x94d049bb133111ebL;
        return b ^ (b >>> 31);
    }
}
