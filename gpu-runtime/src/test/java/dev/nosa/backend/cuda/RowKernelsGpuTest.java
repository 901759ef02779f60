package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.sparse.AttentionMode;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Rows that begin to decode, and forks. */
class RowKernelsGpuTest extends KernelGpuTest {
    private static final int PARENT = 0;
    private static final int CHILD = 1;
    private static final int MAX_TOKENS = 20 * KernelShape.BLOCK;

    private static KvFixture fixture(KernelShape shape, int parentSlots, int childSlots) {
        return new KvFixture(
                bench, shape, shape.layout(AttentionMode.NOSA), MAX_TOKENS, false, parentSlots, childSlots);
    }

    @ParameterizedTest
    @CsvSource({"6, 0, 0", "6, 0, 1", "6, 3, 6", "7, 12, 4"})
    void initSlotsHoldsTheLastBlocksInOrderAndTheLaterLonger(int slots, int first, int count) {
        KernelShape shape = KernelShape.D64_GROUP_3_WINDOW_OVER_BLOCKS;
        KvFixture kv = fixture(shape, 7, slots);
        kv.initSlots(CHILD, slots, first, count);
        for (int layer = 0; layer < KernelShape.LAYERS; layer++) {
            for (int head = 0; head < shape.kvHeads; head++) {
                int[] blocks = kv.slotBlocks(CHILD, layer, head);
                int[] clocks = kv.slotClocks(CHILD, layer, head);
                for (int s = 0; s < slots; s++) {
                    assertThat(blocks[s]).isEqualTo(s < count ? first + s : -1);
                    int lastToken = (first + s + 1) * KernelShape.BLOCK - 1;
                    assertThat(clocks[s])
                            .isBetween(
                                    s < count ? 2 * (lastToken - KernelShape.BLOCK + 1) + 1 : 0,
                                    s < count ? 2 * lastToken + 2 : 0);
                }
                assertThat(Arrays.copyOf(clocks, count)).isSorted();
                assertThat(kv.slotBlocks(PARENT, layer, head)).containsOnly(-1); // as nobody wrote them
            }
        }
    }

    @ParameterizedTest
    @EnumSource(KernelShape.class)
    void copyTailTakesTheBlockFromItsSlotBitForBit(KernelShape shape) {
        KvFixture kv = fixture(shape, 6, 4);
        Random random = new Random(1);
        kv.download();
        for (int layer = 0; layer < KernelShape.LAYERS; layer++) {
            for (int head = 0; head < shape.kvHeads; head++) {
                for (int i = 0; i < 6 * KernelShape.BLOCK; i++) {
                    float[] key = KernelBench.random(random, shape.headDim, 1);
                    float[] value = KernelBench.random(random, shape.headDim, 1);
                    kv.setToken(PARENT, i / KernelShape.BLOCK, layer, head, i % KernelShape.BLOCK, key, value);
                }
            }
        }
        kv.upload();
        kv.initSlots(PARENT, 6, 9, 5);
        kv.args().putInt(PARENT).putInt(CHILD).putInt(12);
        bench.launch("copy_tail", KernelBench.grid(shape.kvHeads, KernelShape.LAYERS), 256, 0);
        kv.download();
        for (int layer = 0; layer < KernelShape.LAYERS; layer++) {
            for (int head = 0; head < shape.kvHeads; head++) {
                for (int t = 0; t < KernelShape.BLOCK; t++) {
                    assertThat(kv.key(CHILD, 0, layer, head, t)).containsExactly(kv.key(PARENT, 3, layer, head, t));
                    assertThat(kv.value(CHILD, 0, layer, head, t)).containsExactly(kv.value(PARENT, 3, layer, head, t));
                }
                assertThat(kv.key(CHILD, 1, layer, head, 0)).containsOnly(Float.NaN);
            }
        }
    }
}
