package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class PinnedArenaTest {
    private static final long MIB = 1L << 20;

    private final List<Long> allocated = new CopyOnWriteArrayList<>();
    private final List<Long> freed = new CopyOnWriteArrayList<>();

    /** A buffer without memory, whose address is its number from 1. */
    private PinnedBuffer buffer(long bytes) {
        allocated.add(bytes);
        long number = allocated.size();
        return new PinnedBuffer(number, number, bytes, () -> freed.add(number));
    }

    @Test
    void blocksAreCutIntoSlabsOfAtMostOneGib() {
        try (PinnedArena arena = PinnedArena.start(300 * MIB, 7, this::buffer)) {
            assertThat(arena.blocksPerSlab()).isEqualTo(3);
            assertThat(arena.slabs()).isEqualTo(3);
            assertThat(arena.slab(2).address()).isEqualTo(3);
            assertThat(allocated).containsExactly(900 * MIB, 900 * MIB, 300 * MIB);
            assertThat(arena.bytes()).isEqualTo(2100 * MIB);
        }
        assertThat(freed).containsExactly(1L, 2L, 3L);
    }

    @Test
    void fewBlocksTakeNoMoreThanTheyNeed() {
        try (PinnedArena arena = PinnedArena.start(64, 5, this::buffer)) {
            assertThat(arena.slab(0).bytes()).isEqualTo(320);
            assertThat(arena.blocksPerSlab()).isEqualTo(5);
        }
    }

    @Test
    void noBlocksTakeNoSlab() {
        try (PinnedArena arena = PinnedArena.start(64, 0, this::buffer)) {
            assertThat(arena.slabs()).isZero();
            assertThat(arena.blocksPerSlab()).isOne();
        }
    }

    @Test
    void blocksOverOneGibAreRefused() {
        assertThatThrownBy(() -> PinnedArena.start(1025 * MIB, 1, this::buffer))
                .hasMessage("1 host blocks of 1074790400 bytes: a block takes from 1 to 1073741824 bytes");
    }

    @Test
    void tenThreadsWaitForASlab() {
        CountDownLatch begin = new CountDownLatch(1);
        try (PinnedArena arena = PinnedArena.start(600 * MIB, 4, bytes -> {
            await(begin);
            return buffer(bytes);
        })) {
            List<CompletableFuture<Long>> waiting = IntStream.range(0, 10)
                    .mapToObj(i -> CompletableFuture.supplyAsync(
                            () -> arena.slab(i % 4).address(), task -> {
                                Thread thread = new Thread(task);
                                thread.setDaemon(true);
                                thread.start();
                            }))
                    .toList();
            assertThat(waiting).noneMatch(CompletableFuture::isDone);
            begin.countDown();
            for (int i = 0; i < 10; i++) {
                assertThat(waiting.get(i).join()).isEqualTo(i % 4 + 1);
            }
        }
        assertThat(freed).hasSize(4);
    }

    @Test
    void memoryThatRunsOutSaysHowMuchThereWasAndIsFreed() {
        try (PinnedArena arena = PinnedArena.start(512 * MIB, 12, bytes -> {
            if (allocated.size() == 2) {
                throw new CudaException("cuMemHostAlloc of 1.0 GiB: CUDA_ERROR_OUT_OF_MEMORY (2)", 2, false, null);
            }
            return buffer(bytes);
        })) {
            assertThat(arena.slab(1).address()).isEqualTo(2);
            for (int slab : new int[] {2, 5}) {
                assertThatThrownBy(() -> arena.slab(slab))
                        .isInstanceOf(IllegalStateException.class)
                        .hasMessage("host-kv: 2.0 GiB of 6.0 GiB of host memory were pinned, then it failed:"
                                + " cuMemHostAlloc of 1.0 GiB: CUDA_ERROR_OUT_OF_MEMORY (2); take a smaller --host-kv,"
                                + " or give the machine or container more memory");
            }
        }
        assertThat(freed).containsExactly(1L, 2L);
    }

    @Test
    void anErrorOfTheThreadReachesWhoWaits() {
        try (PinnedArena arena = PinnedArena.start(64, 1, bytes -> {
            throw new UnsatisfiedLinkError("no library");
        })) {
            assertThatThrownBy(() -> arena.slab(0)).hasMessageContaining("no library");
        }
    }

    @Test
    void closingEndsThePinningAndFreesWhatThereIs() {
        CountDownLatch first = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        PinnedArena arena = PinnedArena.start(1024 * MIB, 50, bytes -> {
            first.countDown();
            await(go);
            return buffer(bytes);
        });
        await(first);
        CompletableFuture<Void> closing = CompletableFuture.runAsync(arena::close);
        while (!arena.isClosed()) {
            Thread.onSpinWait();
        }
        go.countDown();
        closing.join();
        assertThat(allocated).hasSize(1);
        assertThat(freed).containsExactly(1L);
        assertThatThrownBy(() -> arena.slab(49)).hasMessageContaining("the host tier is closed");
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }
}
