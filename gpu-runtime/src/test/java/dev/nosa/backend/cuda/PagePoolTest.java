package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class PagePoolTest {
    private final PagePool pool = new PagePool(3);

    @Test
    void everyPageIsGivenOnce() {
        Set<Integer> pages = new HashSet<>();
        for (int i = 0; i < 3; i++) {
            pages.add(pool.allocate());
        }
        assertThat(pages).containsExactlyInAnyOrder(0, 1, 2);
        assertThat(pool.free()).isZero();
        assertThat(pool.total()).isEqualTo(3);
        assertThatThrownBy(pool::allocate).hasMessage("all 3 pages of the device tier are held");
    }

    @Test
    void thePageFreedLastIsTakenFirst() {
        pool.allocate();
        int page = pool.allocate();
        pool.release(page);
        assertThat(pool.free()).isEqualTo(2);
        assertThat(pool.allocate()).isEqualTo(page);
    }

    @Test
    void aSharedPageIsFreeBehindItsLastHolder() {
        int page = pool.allocate();
        assertThat(pool.isShared(page)).isFalse();
        pool.retain(page);
        assertThat(pool.isShared(page)).isTrue();
        pool.release(page);
        assertThat(pool.isShared(page)).isFalse();
        assertThat(pool.free()).isEqualTo(2);
        pool.release(page);
        assertThat(pool.free()).isEqualTo(3);
        assertThatThrownBy(() -> pool.retain(page)).hasMessage("page " + page + " of the device tier is not held");
    }

    @Test
    void aPageThatIsNotHeldCannotBeReleased() {
        int page = pool.allocate();
        pool.release(page);
        assertThatThrownBy(() -> pool.release(page)).hasMessage("page " + page + " of the device tier is not held");
        assertThat(pool.free()).isEqualTo(3);
    }
}
