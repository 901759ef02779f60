package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class ExecutorExitTest {
    private static final RuntimeException CAUSE = new IllegalStateException("the context is lost");

    private final BlockingQueue<Integer> codes = new LinkedBlockingQueue<>();
    private final ExecutorExit exit = new ExecutorExit(codes::add);

    @Test
    void anExecutorEndsOnceHoweverManyTasksSeeItsEngineFail() throws InterruptedException {
        exit.engineFailed(CAUSE, "3", 0);
        exit.engineFailed(CAUSE, "3", 0);
        assertThat(codes.poll(10, TimeUnit.SECONDS)).isEqualTo(ExecutorExit.CODE);
        assertThat(codes.poll(100, TimeUnit.MILLISECONDS)).isNull();
    }

    @Test
    void theDriverGoesOn() throws InterruptedException {
        exit.engineFailed(CAUSE, "driver", 0);
        assertThat(codes.poll(100, TimeUnit.MILLISECONDS)).isNull();
    }
}
