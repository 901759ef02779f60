package dev.nosa.cache;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class HostBlockPoolTest {
    private final HostBlockPool pool = new HostBlockPool(3);

    @Test
    void givesEveryBlockOnce() {
        Set<Integer> blocks = new HashSet<>();
        for (int i = 0; i < 3; i++) {
            blocks.add(pool.allocate());
        }
        assertThat(blocks).containsExactlyInAnyOrder(0, 1, 2);
        assertThat(pool.free()).isZero();
        assertThatThrownBy(pool::allocate)
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("no free host block: all 3 are held");
    }

    @Test
    void aBlockIsFreeAfterItsLastReference() {
        int block = pool.allocate();
        pool.retain(block);
        pool.release(block);
        assertThat(pool.free()).isEqualTo(2);
        assertThat(pool.countHeld()).isEqualTo(1);
        pool.release(block);
        assertThat(pool.free()).isEqualTo(3);
    }

    @Test
    void aFreeOrUnknownBlockCannotBeReleasedOrRetained() {
        int block = pool.allocate();
        pool.release(block);
        assertThatThrownBy(() -> pool.release(block)).hasMessageContaining("host block " + block + " of 3 is not held");
        assertThatThrownBy(() -> pool.retain(block)).hasMessageContaining("host block " + block + " of 3 is not held");
        assertThatThrownBy(() -> pool.release(-1)).hasMessageContaining("host block -1 of 3");
        assertThatThrownBy(() -> pool.retain(3)).hasMessageContaining("host block 3 of 3");
    }
}
