package dev.nosa.cache;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class KvCacheManagerTest {
    private static final int BLOCK = 16;
    private static final KvLayout LAYOUT =
            new KvLayout(2, 2, 32, AttentionMode.NOSA, new SparseConfig(BLOCK, 8, 4, 1, 1, 6, 2, 0), 12, 4, 4);

    private final KvCacheManager manager = new KvCacheManager(LAYOUT, new MemoryBudget(4, 10, 10 << 20));

    @Test
    void blocksAreTakenAsTheSequenceGrowsButReservedAtOnce() {
        SequenceCache cache = admit(5 * BLOCK);
        assertThat(manager.hostBlocksFree()).isEqualTo(10);
        cache.grow(BLOCK);
        assertThat(cache.blocks().size()).isEqualTo(1);
        cache.grow(BLOCK + 1);
        assertThat(cache.blocks().size()).isEqualTo(2);
        assertThat(manager.hostBlocksFree()).isEqualTo(8);
        assertThat(manager.canAdmit(MemoryDemand.of(LAYOUT, 5 * BLOCK))).isTrue();
        assertThat(manager.canAdmit(MemoryDemand.of(LAYOUT, 5 * BLOCK + 1))).isFalse();
        manager.checkIntegrity();
    }

    @Test
    void whatDoesNotFitChangesNothing() {
        MemoryDemand tooMuch = MemoryDemand.of(LAYOUT, 11 * BLOCK);
        assertThat(manager.tryAdmit(tooMuch, 11 * BLOCK)).isEmpty();
        manager.checkIntegrity();
        assertThat(manager.canAdmit(MemoryDemand.of(LAYOUT, 10 * BLOCK))).isTrue();
    }

    @Test
    void deviceBytesAndRowsBoundAdmissionToo() {
        long one = LAYOUT.deviceBytes(BLOCK);
        KvCacheManager tight = new KvCacheManager(LAYOUT, new MemoryBudget(3, 100, 2 * one));
        MemoryDemand demand = MemoryDemand.of(LAYOUT, BLOCK);
        assertThat(tight.tryAdmit(demand, BLOCK)).isPresent();
        assertThat(tight.tryAdmit(demand, BLOCK)).isPresent();
        assertThat(tight.tryAdmit(demand, BLOCK)).isEmpty();
        KvCacheManager oneRow = new KvCacheManager(LAYOUT, new MemoryBudget(1, 100, 10 * one));
        assertThat(oneRow.tryAdmit(demand, BLOCK)).isPresent();
        assertThat(oneRow.tryAdmit(demand, BLOCK)).isEmpty();
        oneRow.checkIntegrity();
    }

    @Test
    void growingBeyondTheReservationIsAnError() {
        SequenceCache cache = admit(20);
        assertThatThrownBy(() -> cache.grow(21)).hasMessage("row 0 cannot grow to 21 tokens: 20 were reserved");
        cache.close();
        assertThatThrownBy(() -> cache.grow(1)).hasMessage("row 0 cannot grow to 1 tokens: it is closed");
    }

    @Test
    void aForkSharesFinishedBlocksAndOwnsTheRest() {
        SequenceCache parent = admitWithFork(40, 60);
        parent.grow(40);
        SequenceCache child = manager.fork(parent, 40, 60);
        assertThat(child.row()).isNotEqualTo(parent.row());
        assertThat(child.blocks().size()).isEqualTo(2);
        assertThat(child.blocks().get(0)).isEqualTo(parent.blocks().get(0));
        assertThat(child.blocks().get(1)).isEqualTo(parent.blocks().get(1));
        child.grow(60);
        assertThat(child.blocks().get(2)).isNotEqualTo(parent.blocks().get(2));
        assertThat(manager.hostBlocksFree()).isEqualTo(10 - 3 - 2);
        manager.checkIntegrity();
        child.close();
        manager.checkIntegrity();
        assertThat(manager.hostBlocksFree()).isEqualTo(7);
        manager.fork(parent, 40, 60).close();
        parent.close();
        manager.checkIntegrity();
        assertThat(manager.hostBlocksFree()).isEqualTo(10);
    }

    @Test
    void aForkBeyondItsParentsReservationIsAnError() {
        SequenceCache parent = admitWithFork(40, 60);
        parent.grow(40);
        assertThatThrownBy(() -> manager.fork(parent, 40, 70)).hasMessageContaining("a fork of row 0 needs");
        manager.fork(parent, 40, 60);
        assertThatThrownBy(() -> manager.fork(parent, 40, 60)).hasMessageContaining("a fork of row 0 needs");
        manager.checkIntegrity();
    }

    @Test
    void aForkMayReserveBesideItsParent() {
        SequenceCache parent = admit(40);
        parent.grow(40);
        SequenceCache first = manager.tryFork(parent, 40, 90).orElseThrow();
        // 2 blocks are shared: 3 of the parent's, 4 of the first fork's own.
        assertThat(manager.tryFork(parent, 40, 100)).isEmpty();
        SequenceCache second = manager.tryFork(parent, 40, 70).orElseThrow();
        first.grow(90);
        second.grow(70);
        assertThat(manager.hostBlocksFree()).isZero();
        manager.checkIntegrity();
        assertThatThrownBy(parent::close).hasMessageContaining("still has a fork");
        second.close();
        first.close();
        manager.checkIntegrity();
        parent.close();
        assertThat(manager.hostBlocksFree()).isEqualTo(10);
        manager.checkIntegrity();
    }

    @Test
    void aForkOfAForkSharesTheBlocksOfBoth() {
        SequenceCache parent = admit(32);
        parent.grow(32);
        SequenceCache child = manager.tryFork(parent, 32, 64).orElseThrow();
        child.grow(64);
        SequenceCache grandchild = manager.tryFork(child, 64, 80).orElseThrow();
        assertThat(grandchild.blocks().get(0)).isEqualTo(parent.blocks().get(0));
        assertThat(grandchild.blocks().get(3)).isEqualTo(child.blocks().get(3));
        grandchild.grow(80);
        assertThat(manager.hostBlocksFree()).isEqualTo(10 - 2 - 2 - 1);
        manager.checkIntegrity();
        grandchild.close();
        child.close();
        parent.close();
        manager.checkIntegrity();
    }

    @Test
    void aForkOfTokensThatAreNotThereIsAnError() {
        SequenceCache parent = admitWithFork(40, 60);
        parent.grow(16);
        assertThatThrownBy(() -> manager.fork(parent, 40, 60))
                .hasMessage("row 0 has 1 blocks, too few to fork 40 tokens");
    }

    @Test
    void aParentIsClosedAfterItsForks() {
        SequenceCache parent = admitWithFork(40, 60);
        parent.grow(40);
        SequenceCache child = manager.fork(parent, 40, 60);
        assertThatThrownBy(parent::close).hasMessage("KV cache: row 0 still has a fork, row 1");
        child.close();
        parent.close();
        manager.checkIntegrity();
    }

    @Test
    void closingTwiceDoesNothing() {
        SequenceCache cache = admit(40);
        cache.grow(40);
        cache.close();
        SequenceCache next = admit(40);
        next.grow(40);
        cache.close();
        manager.checkIntegrity();
        assertThat(manager.hostBlocksFree()).isEqualTo(7);
    }

    @Test
    void theIntegrityCheckFindsALostBlock() {
        SequenceCache cache = admit(40);
        cache.grow(40);
        int lost = manager.allocateBlock();
        assertThatThrownBy(manager::checkIntegrity)
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("KV cache: host block " + lost + " has 1 references, but 0 tables hold it");
    }

    @Test
    void theIntegrityCheckFindsABlockInTwoTables() {
        List<SequenceCache> caches = new ArrayList<>(List.of(admit(40), admit(40)));
        caches.forEach(cache -> cache.grow(16));
        caches.get(0).blocks().add(caches.get(1).blocks().get(0));
        assertThatThrownBy(manager::checkIntegrity).hasMessageContaining("1 references, but 2 tables hold it");
    }

    private SequenceCache admit(int maxTokens) {
        return manager.tryAdmit(MemoryDemand.of(LAYOUT, maxTokens), maxTokens).orElseThrow();
    }

    private SequenceCache admitWithFork(int tokens, int forkedTokens) {
        MemoryDemand demand = MemoryDemand.of(LAYOUT, tokens).plus(MemoryDemand.ofFork(LAYOUT, tokens, forkedTokens));
        return manager.tryAdmit(demand, tokens).orElseThrow();
    }
}
