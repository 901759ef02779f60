package dev.nosa.sparse;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class SlotTableTest {
    @Test
    void hitsStayWhereTheyAre() {
        SlotTable table = new SlotTable(4, 10);
        table.fetch(new int[] {0, 1, 2}, 3, new int[3]);
        int slot = table.slot(1);
        int[] missing = new int[3];
        assertThat(table.fetch(new int[] {1, 5, 6}, 3, missing)).isEqualTo(2);
        assertThat(missing).startsWith(5, 6);
        assertThat(table.slot(1)).isEqualTo(slot);
    }

    @Test
    void missesTakeEmptySlotsThenTheOneUnusedLongest() {
        SlotTable table = new SlotTable(4, 10);
        int[] missing = new int[4];
        table.fetch(new int[] {0, 1}, 2, missing);
        table.fetch(new int[] {2}, 1, missing);
        table.fetch(new int[] {0}, 1, missing);
        table.fetch(new int[] {3}, 1, missing);
        assertThat(table.slot(3)).isEqualTo(3);
        table.fetch(new int[] {4}, 1, missing);
        assertThat(table.isResident(1)).isFalse();
        assertThat(table.isResident(0)).isTrue();
        assertThat(table.fetch(new int[] {0, 2, 3, 4}, 4, missing)).isZero();
    }

    @Test
    void moreBlocksThanSlotsInOneStepAreRefused() {
        SlotTable table = new SlotTable(2, 10);
        assertThatThrownBy(() -> table.fetch(new int[] {0, 1, 2}, 3, new int[3]))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("all 2 slots are in use by one step");
    }

    @Test
    void aBlockThatIsNotResidentHasNoSlot() {
        assertThatThrownBy(() -> new SlotTable(2, 10).slot(7)).hasMessage("block 7 is not resident");
    }

    @Test
    void randomSelectionsAlwaysEndUpResidentInDistinctSlots() {
        Random random = new Random(3);
        SlotTable table = new SlotTable(9, 40);
        int[] missing = new int[8];
        for (int step = 0; step < 500; step++) {
            int[] selected = random.ints(0, 40).distinct().limit(8).sorted().toArray();
            table.fetch(selected, 8, missing);
            assertThat(Arrays.stream(selected).map(table::slot).distinct().count())
                    .isEqualTo(8);
        }
    }
}
