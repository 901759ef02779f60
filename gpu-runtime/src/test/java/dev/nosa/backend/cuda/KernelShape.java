package dev.nosa.backend.cuda;

import dev.nosa.cache.KvLayout;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.params.provider.Arguments;

/** Heads and budgets that the attention kernels are tested with. */
enum KernelShape {
    D64_GROUP_1(64, 1, 2, new SparseConfig(64, 8, 4, 1, 1, 5, 2, 0)),
    D128_GROUP_3(128, 3, 2, new SparseConfig(64, 32, 16, 1, 2, 7, 2, 0)),
    D64_GROUP_4_WINDOW_OF_A_BLOCK(64, 4, 2, new SparseConfig(64, 64, 64, 0, 1, 4, 2, 0)),
    D128_GROUP_8(128, 8, 1, new SparseConfig(64, 8, 4, 2, 1, 6, 1, 0)),
    D128_GROUP_16(128, 16, 2, new SparseConfig(64, 32, 16, 1, 1, 6, 0, 0)),
    D64_GROUP_16_DENSE_START(64, 16, 1, new SparseConfig(64, 32, 16, 1, 1, 4, 2, 400)),
    D64_GROUP_3_WINDOW_OVER_BLOCKS(64, 3, 3, new SparseConfig(64, 96, 32, 1, 2, 6, 2, 0));

    static final int LAYERS = 2;
    static final int BLOCK = 64;
    static final float ROPE_SCALE = 1.25f;

    final int headDim;
    final int group;
    final int kvHeads;
    final SparseConfig sparse;

    KernelShape(int headDim, int group, int kvHeads, SparseConfig sparse) {
        this.headDim = headDim;
        this.group = group;
        this.kvHeads = kvHeads;
        this.sparse = sparse;
    }

    int heads() {
        return group * kvHeads;
    }

    /** Values of a token in a stacked q, k, v projection. */
    int qkvWidth() {
        return (heads() + 2 * kvHeads) * headDim;
    }

    /** Name of a kernel that depends on the head size. */
    String kernel(String name) {
        return name + "_d" + headDim;
    }

    float[] frequencies() {
        float[] frequencies = new float[headDim / 2];
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] = (float) Math.pow(10000, -2.0 * i / headDim);
        }
        return frequencies;
    }

    /** With so few slots that nearly every step fetches. */
    KvLayout layout(AttentionMode mode) {
        return new KvLayout(LAYERS, kvHeads, headDim, mode, sparse, sparse.maxBudget() + 1, 2, 2, true);
    }

    /** Longest sequence of a test: some blocks more than the budget. */
    int maxTokens() {
        return (sparse.maxBudget() + 7) * BLOCK;
    }

    /** Every shape in every mode. */
    static Stream<Arguments> inEveryMode() {
        return Arrays.stream(values())
                .flatMap(shape -> Arrays.stream(AttentionMode.values()).map(mode -> Arguments.of(shape, mode)));
    }

    /** Every shape in every mode that selects. */
    static Stream<Arguments> inSparseModes() {
        return inEveryMode().filter(arguments -> ((AttentionMode) arguments.get()[1]).isSparse());
    }
}
