package dev.nosa.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.cache.KvLayout;
import dev.nosa.cache.MemoryBudget;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import org.junit.jupiter.api.Test;

class MemoryPlannerTest {
    private static final KvLayout LAYOUT =
            new KvLayout(2, 2, 32, AttentionMode.NOSA, new SparseConfig(16, 8, 4, 1, 1, 6, 2, 0), 12, 4, 4);

    private final MemoryPlanner planner = new MemoryPlanner(LAYOUT, 160, 4);

    @Test
    void configuredBytesBecomeWholeBlocks() {
        MemoryBudget budget = planner.plan(10 * LAYOUT.hostBlockBytes() + 1, 1 << 20, 1L << 30);
        assertThat(budget).isEqualTo(new MemoryBudget(8, 10, 1 << 20));
    }

    @Test
    void theDefaultsAreSharesOfTheHeap() {
        long heap = 50 * LAYOUT.hostBlockBytes();
        MemoryBudget budget = planner.plan(0, 0, heap);
        assertThat(budget.hostBlocks()).isEqualTo(20);
        assertThat(budget.deviceBytes()).isEqualTo(heap / 5);
    }

    @Test
    void noMoreBlocksArePlannedThanAFullBatchCanHold() {
        // 10 blocks a context, and the copied tail of a continuation.
        assertThat(planner.plan(1L << 40, 1 << 20, 1L << 30).hostBlocks()).isEqualTo(4 * 11);
    }

    @Test
    void aHostBudgetBelowOneBlockNamesBytesAndOption() {
        long block = LAYOUT.hostBlockBytes();
        assertThatThrownBy(() -> planner.plan(block - 1, 1 << 20, 1L << 30))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("host-kv = " + (block - 1))
                .hasMessageContaining(block + " bytes")
                .hasMessageContaining("--host-kv");
        assertThatThrownBy(() -> planner.plan(0, 1 << 20, block)).hasMessageContaining("-Xmx");
    }

    @Test
    void aDeviceBudgetBelowTheShortestSequenceNamesBytesAndOption() {
        long smallest = LAYOUT.deviceBytes(1);
        assertThatThrownBy(() -> planner.plan(1 << 20, smallest - 1, 1L << 30))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("device-kv = " + (smallest - 1))
                .hasMessageContaining(smallest + " bytes")
                .hasMessageContaining("--device-kv");
    }
}
