package dev.nosa.sparse;

/** Integer arithmetic of windows and blocks (NOSA specification, section 2, steps 3 and 5). */
public final class WindowMath {
    private WindowMath() {}

    /** Compression windows that are complete once {@code tokens} tokens exist. */
    public static int windows(int tokens, SparseConfig config) {
        return tokens < config.window() ? 0 : (tokens - config.window()) / config.stride() + 1;
    }

    /** Blocks that {@code tokens} tokens occupy, the unfinished one included. */
    public static int blocks(int tokens, SparseConfig config) {
        return (tokens + config.blockSize() - 1) / config.blockSize();
    }

    /** First window of block {@code b}'s max-pool; may be -1, the left padding. */
    public static int firstWindow(int b, SparseConfig config) {
        return b * (config.blockSize() / config.stride()) - 1;
    }

    /** Windows in a max-pool: {@code bs / s + 1}. */
    public static int poolSize(SparseConfig config) {
        return config.blockSize() / config.stride() + 1;
    }
}
