package dev.nosa.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;

class CpuThreadsTest {
    @Test
    void everyTaskRunsOnceWhateverTheNumberOfThreads() {
        for (int size : new int[] {1, 2, 5}) {
            try (CpuThreads threads = new CpuThreads(size)) {
                for (int count : new int[] {0, 1, 2, 7, 1000}) {
                    AtomicIntegerArray runs = new AtomicIntegerArray(count + 1);
                    threads.run(count, (worker, i) -> {
                        assertThat(worker).isLessThan(size);
                        runs.incrementAndGet(i);
                    });
                    for (int i = 0; i < count; i++) {
                        assertThat(runs.get(i)).isOne();
                    }
                }
            }
        }
    }

    @Test
    void aFailureReachesTheCallerAndTheNextLoopRuns() {
        try (CpuThreads threads = new CpuThreads(3)) {
            assertThatThrownBy(() -> threads.run(50, (worker, i) -> {
                        if (i == 17) {
                            throw new IllegalStateException("task 17");
                        }
                    }))
                    .hasMessage("task 17");
            int[] sum = new int[10];
            threads.run(10, (worker, i) -> sum[i] = i);
            assertThat(sum[9]).isEqualTo(9);
        }
    }

    @Test
    void anErrorInAWorkerReachesTheCaller() {
        try (CpuThreads threads = new CpuThreads(2)) {
            assertThatThrownBy(() -> threads.run(8, (worker, i) -> {
                        throw new OutOfMemoryError("no room");
                    }))
                    .hasMessageContaining("no room");
        }
    }
}
