package dev.nosa.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.cache.DeviceMemory;
import dev.nosa.cache.KvLayout;
import dev.nosa.schedule.DevicePlan.Wishes;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class DevicePlanTest {
    private static final SparseConfig SPARSE = new SparseConfig(64, 8, 4, 1, 1, 6, 2, 0);
    private static final KvLayout LEAST = layout(AttentionMode.NOSA);
    private static final long PAGE = LEAST.hostBlockBytes();
    private static final long FIXED = 1000;
    private static final long SEQUENCE = PAGE / 2;

    private static final int CONTEXT = 100 * 64;
    private static final int STEP = 4 * 64;
    private static final int STATE_PAGES = 17; // 384 tokens each
    private static final int LEAST_SLOTS = 7;
    /** Blocks of the prompt that is computed beyond its slots, and of the next one in the same step. */
    private static final int PROMPT = 100 - LEAST_SLOTS + 4 + 1;

    private static KvLayout layout(AttentionMode mode) {
        return new KvLayout(1, 1, 64, mode, SPARSE, SPARSE.maxBudget() + 1, 2, 2, true);
    }

    private static Wishes wishes(int maxBatch, int slots) {
        return new Wishes(CONTEXT, maxBatch, STEP, slots, 0, 0);
    }

    /** A device with room for {@code sequences} of the longest with the fewest slots, and {@code pages} more. */
    private static DeviceMemory memory(int sequences, int pages, long hostBlocks) {
        long device = (PROMPT + pages) * PAGE + sequences * ((LEAST_SLOTS + STATE_PAGES) * PAGE + SEQUENCE);
        return new DeviceMemory(FIXED + device, FIXED, SEQUENCE, hostBlocks * PAGE);
    }

    @Test
    void asManySequencesRunAsTheDeviceHolds() {
        DevicePlan plan = DevicePlan.of(LEAST, memory(5, 3, 100_000), wishes(0, 0));
        assertThat(plan.maxBatch()).isEqualTo(5);
        assertThat(plan.layout().slots()).isEqualTo(LEAST_SLOTS);
        assertThat(plan.budget().deviceBytes()).isEqualTo((5 * (LEAST_SLOTS + STATE_PAGES) + 3) * PAGE);
        assertThat(plan.pages()).isEqualTo(5 * (LEAST_SLOTS + STATE_PAGES) + 3 + PROMPT);
        assertThat(plan.budget().rows()).isEqualTo(10);
        assertThat(plan.budget().hostBlocks()).isEqualTo(5 * 101);
    }

    @Test
    void asManySequencesRunAsTheHostHolds() {
        DevicePlan plan = DevicePlan.of(LEAST, memory(5, 0, 299), wishes(0, 0));
        assertThat(plan.maxBatch()).isEqualTo(2);
        assertThat(plan.budget().hostBlocks()).isEqualTo(202);
    }

    @Test
    void theHostTierIsNoLargerThanTheHost() {
        DevicePlan plan = DevicePlan.of(LEAST, memory(5, 0, 200), wishes(0, 0));
        assertThat(plan.maxBatch()).isEqualTo(2);
        assertThat(plan.budget().hostBlocks()).isEqualTo(200);
    }

    @Test
    void whatIsLeftBecomesSlots() {
        DevicePlan plan = DevicePlan.of(LEAST, memory(2, 40, 100_000), wishes(2, 0));
        assertThat(plan.layout().slots()).isEqualTo(LEAST_SLOTS + 20);
        assertThat(2 * plan.layout().deviceBytes(CONTEXT))
                .isLessThanOrEqualTo(plan.budget().deviceBytes());
    }

    @Test
    void noSequenceGetsMoreSlotsThanBlocks() {
        DevicePlan plan = DevicePlan.of(LEAST, memory(2, 10_000, 100_000), wishes(2, 0));
        assertThat(plan.layout().slotsFor(CONTEXT)).isEqualTo(100);
        assertThat(plan.layout().offloads(CONTEXT)).isFalse();
    }

    @Test
    void noMoreThan256SequencesRunUnlessAskedFor() {
        assertThat(DevicePlan.of(LEAST, memory(1000, 0, 1 << 20), wishes(0, 0)).maxBatch())
                .isEqualTo(256);
        assertThat(DevicePlan.of(LEAST, memory(1000, 0, 1 << 20), wishes(300, 0))
                        .maxBatch())
                .isEqualTo(300);
    }

    @Test
    void slotsThatWereAskedForAreGiven() {
        DevicePlan plan = DevicePlan.of(LEAST, memory(8, 0, 100_000), wishes(2, 20));
        assertThat(plan.layout().slots()).isEqualTo(20);
        assertThat(plan.maxBatch()).isEqualTo(2);
    }

    @Test
    void withASlotForEveryBlockTheHostDoesNotMatter() {
        DevicePlan plan = DevicePlan.of(LEAST, memory(50, 0, 0), wishes(0, 100));
        assertThat(plan.layout().offloads(CONTEXT)).isFalse();
        long each = (100 + STATE_PAGES) * PAGE + SEQUENCE;
        long prompt = 4 + 1;
        long device = memory(50, 0, 0).free() - FIXED;
        assertThat(plan.maxBatch()).isEqualTo((int) ((device - prompt * PAGE) / each));
    }

    @Test
    void modeFullHasAllBlocksOnTheDevice() {
        DevicePlan plan = DevicePlan.of(layout(AttentionMode.FULL), memory(50, 0, 0), wishes(0, 0));
        assertThat(plan.layout().slotsFor(CONTEXT)).isEqualTo(100);
        long device = memory(50, 0, 0).free() - FIXED;
        assertThat(plan.maxBatch()).isEqualTo((int) ((device - 5 * PAGE) / (100 * PAGE + SEQUENCE)));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 7, 20})
    void modeFullDoesNotHeedSlots(int slots) {
        DevicePlan plan = DevicePlan.of(layout(AttentionMode.FULL), memory(50, 0, 0), wishes(0, slots));
        long device = memory(50, 0, 0).free() - FIXED;
        assertThat(plan.maxBatch()).isEqualTo((int) ((device - 5 * PAGE) / (100 * PAGE + SEQUENCE)));
    }

    @ParameterizedTest
    @EnumSource(AttentionMode.class)
    void contextsShorterThanTheBudgetCanBePlanned(AttentionMode mode) {
        Wishes automatic = new Wishes(3 * 64, 0, STEP, 0, 0, 0);
        assertThat(DevicePlan.of(layout(mode), memory(5, 0, 1000), automatic)
                        .layout()
                        .slotsFor(3 * 64))
                .isEqualTo(3);
        Wishes resident = new Wishes(3 * 64, 0, STEP, LEAST_SLOTS, 0, 0);
        assertThat(DevicePlan.of(layout(mode), memory(5, 0, 1000), resident)
                        .layout()
                        .slotsFor(3 * 64))
                .isEqualTo(3);
    }

    @Test
    void theLongestSequenceFitsToTheByte() {
        DeviceMemory exact = memory(1, 0, 100);
        assertThat(DevicePlan.of(LEAST, exact, wishes(0, 0)).maxBatch()).isEqualTo(1);
        DeviceMemory less = new DeviceMemory(exact.free() - 1, FIXED, SEQUENCE, exact.hostFree());
        assertThatThrownBy(() -> DevicePlan.of(LEAST, less, wishes(0, 0)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("the GPU has " + less.free() + " bytes free")
                .hasMessageContaining("one sequence of " + CONTEXT + " tokens takes " + (exact.free() - FIXED))
                .hasMessageContaining(": 1 bytes are missing; lower --max-context or --max-step-tokens");
    }

    @Test
    void aHostBelowTheLongestSequenceSaysHowManyBytesAreMissing() {
        assertThatThrownBy(() -> DevicePlan.of(LEAST, memory(5, 0, 99), wishes(0, 0)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("host-kv = " + 99 * PAGE)
                .hasMessageContaining("takes " + 100 * PAGE + " bytes, " + PAGE + " are missing; raise --host-kv");
        Wishes wishes = new Wishes(CONTEXT, 0, STEP, 0, 50 * PAGE, 0);
        assertThatThrownBy(() -> DevicePlan.of(LEAST, memory(5, 0, 1000), wishes))
                .hasMessageContaining("host-kv = " + 50 * PAGE);
    }

    @Test
    void aSmallerDeviceTierThanThereIsCanBeAskedFor() {
        DeviceMemory memory = memory(10, 0, 100_000);
        long three = PROMPT * PAGE + 3 * ((LEAST_SLOTS + STATE_PAGES) * PAGE + SEQUENCE);
        assertThat(DevicePlan.of(LEAST, memory, new Wishes(CONTEXT, 0, STEP, 0, 0, three))
                        .maxBatch())
                .isEqualTo(3);
        Wishes little = new Wishes(CONTEXT, 0, STEP, 0, 0, PAGE);
        assertThatThrownBy(() -> DevicePlan.of(LEAST, memory, little)).hasMessageContaining("or raise --device-kv");
    }

    @Test
    void aBatchWhoseScratchLeavesNoRoomForASequenceIsRefused() {
        assertThatThrownBy(() -> DevicePlan.of(LEAST, memory(2, 0, 100_000), wishes(10_000, 0)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("--max-batch");
    }
}
