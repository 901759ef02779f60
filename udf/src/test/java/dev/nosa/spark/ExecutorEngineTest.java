package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.engine.EngineConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.spark.TaskKilledException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class ExecutorEngineTest {
    private final AtomicInteger attempts = new AtomicInteger();
    private final FakeEngine engine = new FakeEngine(1000, true);

    @BeforeEach
    @AfterEach
    void forgetTheEngine() {
        ExecutorEngine.close();
    }

    @Test
    void tenThreadsThatAskAtOnceShareOneEngine() throws Exception {
        int before = ExecutorEngine.started();
        CountDownLatch begin = new CountDownLatch(1);

        List<Object> engines = inThreads(
                10,
                () -> {
                    begin.await();
                    return get(options("m").build(), this::start).engine();
                },
                begin);

        assertThat(engines).containsOnly(engine);
        assertThat(attempts).hasValue(1);
        assertThat(ExecutorEngine.started() - before).isEqualTo(1);
    }

    @Test
    void otherOptionsAreAnErrorThatNamesTheKeyAndBothValues() throws Exception {
        get(options("m").maxBatch(4).build(), this::start);

        assertThatThrownBy(() -> get(options("m").maxBatch(16).build(), this::start))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("max-batch = 4, but 16 is asked for");
        assertThatThrownBy(() -> get(options("other").maxBatch(4).build(), this::start))
                .hasMessageContaining("model = m, but other is asked for");
        assertThat(attempts).hasValue(1);
    }

    @Test
    void afterAFailedStartEveryTaskGetsTheFirstCauseAndNothingIsLoadedAgain() {
        ModelStarter failing = config -> {
            throw new IllegalArgumentException("no config.json, attempt " + attempts.incrementAndGet());
        };
        for (int task = 0; task < 3; task++) {
            assertThatThrownBy(() -> get(options("m").build(), failing))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageMatching(
                            "the engine of (this executor|executor driver on host \\S+) could not be started:"
                                    + " no config.json, attempt 1")
                    .hasCauseInstanceOf(IllegalArgumentException.class);
        }
        assertThat(attempts).hasValue(1);
    }

    @Test
    void anErrorOfTheJvmFailsEveryTaskLikeAnException() {
        ModelStarter failing = config -> {
            attempts.incrementAndGet();
            throw new UnsatisfiedLinkError("no openblas");
        };
        for (int task = 0; task < 2; task++) {
            assertThatThrownBy(() -> get(options("m").build(), failing))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("no openblas");
        }
        assertThat(attempts).hasValue(1);
    }

    @Test
    void afterAFailedStartOtherOptionsMayBeTried() throws Exception {
        ModelStarter failing = config -> {
            throw new IllegalArgumentException("no config.json");
        };
        assertThatThrownBy(() -> get(options("wrong").build(), failing)).isInstanceOf(IllegalStateException.class);

        assertThat(get(options("right").build(), this::start).engine()).isSameAs(engine);
    }

    @Test
    void aKilledTaskStopsWaitingAndTheOthersGetTheEngineAllTheSame() throws Exception {
        CountDownLatch loaded = new CountDownLatch(1);
        ModelStarter slow = config -> {
            await(loaded);
            return start(config);
        };
        EngineOptions options = EngineOptions.of(options("m").build());
        assertThatThrownBy(() -> ExecutorEngine.get(options, slow, () -> true)).isInstanceOf(TaskKilledException.class);

        loaded.countDown();

        assertThat(ExecutorEngine.get(options, slow, () -> false).engine()).isSameAs(engine);
        assertThat(attempts).hasValue(1);
    }

    @Test
    void closingClosesTheEngineAndTheNextTaskStartsAnother() throws Exception {
        get(options("m").build(), this::start);
        ExecutorEngine.close();
        assertThat(engine.isClosed()).isTrue();

        get(options("other").build(), this::start);

        assertThat(attempts).hasValue(2);
    }

    @Test
    void theTasksOfAnExecutorShareTwiceTheBatch() {
        HostedModel model = engine.hosted();
        model.enter();
        assertThat(model.window()).isEqualTo(16);
        model.enter();
        model.enter();
        assertThat(model.window()).isEqualTo(6);
        model.leave();
        assertThat(model.window()).isEqualTo(8);
        for (int task = 0; task < 100; task++) {
            model.enter();
        }
        assertThat(model.window()).isEqualTo(1);
    }

    private HostedModel start(EngineConfig config) {
        attempts.incrementAndGet();
        return engine.hosted();
    }

    private static HostedModel get(EngineConfig config, ModelStarter starter) throws InterruptedException {
        return ExecutorEngine.get(EngineOptions.of(config), starter, () -> false);
    }

    private static EngineConfig.Builder options(String model) {
        return EngineConfig.builder(Path.of(model));
    }

    private static void await(CountDownLatch latch) {
        try {
            assertThat(latch.await(10, TimeUnit.SECONDS)).isTrue();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private static List<Object> inThreads(int threads, Callable<Object> work, CountDownLatch begin) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        try {
            List<Future<Object>> futures = new ArrayList<>();
            for (int i = 0; i < threads; i++) {
                futures.add(pool.submit(work));
            }
            begin.countDown();
            List<Object> results = new ArrayList<>();
            for (Future<Object> future : futures) {
                results.add(future.get(10, TimeUnit.SECONDS));
            }
            return results;
        } finally {
            pool.shutdownNow();
        }
    }
}
