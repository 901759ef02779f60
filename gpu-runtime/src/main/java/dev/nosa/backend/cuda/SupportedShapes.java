package dev.nosa.backend.cuda;

import dev.nosa.backend.AttentionShape;
import dev.nosa.backend.Backends.Options;
import dev.nosa.cache.KvLayout;
import dev.nosa.sparse.SparseConfig;

/** What the kernels take for granted. */
final class SupportedShapes {
    private static final int BLOCK_TOKENS = 64;
    private static final int MAX_GROUP = 16;
    /** Values that are read at once. */
    private static final int VECTOR = 8;

    private static final String MULTIPLE = "a multiple of " + VECTOR;
    private static final int MAX_CONTEXT = 131_072;
    /** Windows of a state page, at least. */
    private static final int MIN_WINDOWS = 17;

    private SupportedShapes() {}

    /** An {@link IllegalArgumentException} names the value that no kernel can take. */
    static void check(Options options) {
        AttentionShape shape = options.shape();
        KvLayout layout = options.layout();
        SparseConfig sparse = layout.sparse();
        int maxContext = options.maxContext();
        require(
                options.size().hidden() % VECTOR == 0,
                "hidden_size",
                options.size().hidden(),
                MULTIPLE);
        int intermediate = options.size().intermediate();
        require(intermediate % VECTOR == 0, "intermediate_size", intermediate, MULTIPLE);
        require(shape.headDim() == 64 || shape.headDim() == 128, "head_dim", shape.headDim(), "64 or 128");
        require(shape.groupSize() <= MAX_GROUP, "query heads per KV head", shape.groupSize(), "at most " + MAX_GROUP);
        require(maxContext <= MAX_CONTEXT, "max-context", maxContext, "at most " + MAX_CONTEXT);
        require(sparse.blockSize() == BLOCK_TOKENS, "block_size", sparse.blockSize(), String.valueOf(BLOCK_TOKENS));
        if (layout.mode().isSparse()) {
            require(
                    sparse.window() <= BLOCK_TOKENS * sparse.localBlocks(),
                    "kernel_size",
                    sparse.window(),
                    "at most window_size");
            require(
                    layout.stateTokens() / sparse.stride() >= MIN_WINDOWS,
                    "kernel_stride",
                    sparse.stride(),
                    "so that " + MIN_WINDOWS + " windows fit into a page");
        }
    }

    private static void require(boolean holds, String what, int value, String rule) {
        if (!holds) {
            throw new IllegalArgumentException(
                    "backend = cuda: " + what + " = " + value + ": must be " + rule + "; take --backend cpu");
        }
    }
}
