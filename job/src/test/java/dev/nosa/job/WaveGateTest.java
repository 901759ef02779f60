package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class WaveGateTest {
    private final AtomicLong done = new AtomicLong();
    private final WaveGate gate = new WaveGate(done::get);

    private CompletableFuture<Void> enter(long documents) {
        return CompletableFuture.runAsync(() -> {
            try {
                gate.enter(documents);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
    }

    private static void assertWaits(CompletableFuture<Void> wave) throws InterruptedException {
        TimeUnit.MILLISECONDS.sleep(300);
        assertThat(wave).isNotDone();
    }

    @Test
    void aWaveBeginsInTheMiddleOfTheOneBefore() throws Exception {
        gate.enter(10);
        CompletableFuture<Void> second = enter(20);
        done.set(4);
        assertWaits(second);
        done.set(5);
        second.get();
        gate.leave();
        done.set(19);
        CompletableFuture<Void> third = enter(10);
        assertWaits(third);
        done.set(20); // 10 of the first wave, 10 of the second
        third.get();
    }

    @Test
    void aWaveBeginsAtTheLatestWhenNoOtherRuns() throws Exception {
        gate.enter(10);
        CompletableFuture<Void> second = enter(10);
        assertWaits(second);
        gate.leave(); // rows that went away since they were planned are never done
        second.get();
    }
}
