package dev.nosa.backend.cuda;

import dev.nosa.backend.AttentionShape;
import dev.nosa.cache.KvLayout;
import dev.nosa.sparse.SparseConfig;

/** What the kernels take for granted. */
final class SupportedShapes {
    private static final int BLOCK_TOKENS = 64;
    private static final int MAX_GROUP = 16;
    private static final int MAX_CONTEXT = 131_072;
    /** Windows of a state page, at least. */
    private static final int MIN_WINDOWS = 17;

    private SupportedShapes() {}

    /** An {@link IllegalArgumentException} names the value that no kernel can take. */
    static void check(AttentionShape shape, KvLayout layout, int maxContext) {
        SparseConfig sparse = layout.sparse();
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
