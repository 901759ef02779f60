package dev.nosa.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class NosaEngineTest {
    private static final Executor OWN_THREAD = task -> new Thread(task).start();

    private final AtomicReference<FakeRunner> runner = new AtomicReference<>();
    private final ByteTokenizer tokenizer = new ByteTokenizer();

    @Test
    void tenThreadsSubmitAndCancel() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(10);
        try (NosaEngine engine = start(EngineHarness.config().queueCapacity(5).build())) {
            List<Future<Integer>> done = new ArrayList<>();
            for (int thread = 0; thread < 10; thread++) {
                done.add(threads.submit(client(engine, thread)));
            }
            int uncancelled = 0;
            for (Future<Integer> client : done) {
                uncancelled += client.get();
            }
            assertThat(uncancelled).isPositive();
        } finally {
            threads.shutdown();
        }
        assertThat(runner.get().openRows()).isZero();
    }

    /** Thirty requests, every third cancelled; returns how many ran to their end. */
    private static Callable<Integer> client(InferenceEngine engine, int thread) {
        return () -> {
            Random random = new Random(thread);
            List<int[]> prompts = new ArrayList<>();
            List<RequestHandle<GenerationResult>> handles = new ArrayList<>();
            for (int i = 0; i < 30; i++) {
                prompts.add(EngineHarness.randomTokens(random, 1 + random.nextInt(90)));
                handles.add(engine.generate(EngineHarness.generation(prompts.get(i), 5)));
                if (i % 3 == 0) {
                    handles.get(i).cancel();
                }
            }
            int finished = 0;
            for (int i = 0; i < 30; i++) {
                GenerationResult result = handles.get(i).result().get();
                if (result.finishReason() == FinishReason.LENGTH) {
                    assertThat(result.tokens()).isEqualTo(EngineHarness.expected(prompts.get(i), 5));
                    finished++;
                }
            }
            return finished;
        };
    }

    @Test
    void submittersWaitWhileTheQueueIsFull() throws Exception {
        try (NosaEngine engine =
                start(EngineHarness.config().maxBatch(1).queueCapacity(2).build())) {
            CountDownLatch gate = hold();
            RequestHandle<GenerationResult> first = submit(engine);
            awaitRunning(engine, 1);
            submit(engine);
            submit(engine);
            CompletableFuture<RequestHandle<GenerationResult>> fourth = submitAsync(engine);
            assertThatThrownBy(() -> fourth.get(50, TimeUnit.MILLISECONDS)).isInstanceOf(TimeoutException.class);
            assertThat(engine.stats().waiting()).isEqualTo(2);
            gate.countDown();
            first.result().get();
            assertThat(fourth.get().result().get().finishReason()).isEqualTo(FinishReason.LENGTH);
        }
    }

    @Test
    void cancellingAWaitingRequestMakesRoomForASubmitter() throws Exception {
        try (NosaEngine engine =
                start(EngineHarness.config().maxBatch(1).queueCapacity(1).build())) {
            CountDownLatch gate = hold();
            submit(engine);
            awaitRunning(engine, 1);
            RequestHandle<GenerationResult> waiting = submit(engine);
            CompletableFuture<RequestHandle<GenerationResult>> blocked = submitAsync(engine);
            waiting.cancel();
            gate.countDown();
            assertThat(waiting.result().get().finishReason()).isEqualTo(FinishReason.CANCELLED);
            assertThat(blocked.get().result().get().finishReason()).isEqualTo(FinishReason.LENGTH);
        }
    }

    @Test
    void aBlockedSubmitterCanBeInterrupted() throws Exception {
        try (NosaEngine engine =
                start(EngineHarness.config().maxBatch(1).queueCapacity(1).build())) {
            CountDownLatch gate = hold();
            submit(engine);
            awaitRunning(engine, 1);
            submit(engine);
            AtomicReference<Exception> thrown = new AtomicReference<>();
            Thread submitter = new Thread(() -> {
                try {
                    submit(engine);
                } catch (InterruptedException | RuntimeException e) {
                    thrown.set(e);
                }
            });
            submitter.start();
            submitter.interrupt();
            submitter.join();
            assertThat(thrown.get()).isInstanceOf(InterruptedException.class);
            gate.countDown();
        }
    }

    @Test
    void closeCancelsWhatRunsAndWaitsAndClosesEverything() throws Exception {
        NosaEngine engine =
                start(EngineHarness.config().maxBatch(1).queueCapacity(2).build());
        CountDownLatch gate = hold();
        List<RequestHandle<GenerationResult>> handles = new ArrayList<>();
        handles.add(submit(engine));
        awaitRunning(engine, 1);
        handles.add(submit(engine));
        handles.add(submit(engine));
        CompletableFuture<RequestHandle<GenerationResult>> blocked = submitAsync(engine);
        CompletableFuture<Void> closing = CompletableFuture.runAsync(engine::close, OWN_THREAD);
        assertThatThrownBy(blocked::get).hasRootCauseMessage("the engine is closed");
        gate.countDown();
        closing.get();
        for (RequestHandle<GenerationResult> handle : handles) {
            assertThat(handle.result()).isDone();
            assertThat(handle.result().get().finishReason()).isEqualTo(FinishReason.CANCELLED);
        }
        assertThat(runner.get().isClosed()).isTrue();
        assertThat(runner.get().openRows()).isZero();
        assertThat(tokenizer.isClosed()).isTrue();
        engine.close();
        assertThatThrownBy(() -> submit(engine))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("the engine is closed");
    }

    @Test
    void aFailureOfTheRunnerFailsAllRequestsAndLaterOnesWithTheFirstCause() throws Exception {
        for (Throwable failure : List.of(new IllegalStateException("device lost"), new OutOfMemoryError("no more"))) {
            NosaEngine engine = start(EngineHarness.config().maxBatch(1).build());
            CountDownLatch gate = hold();
            RequestHandle<GenerationResult> running = submit(engine);
            awaitRunning(engine, 1);
            RequestHandle<GenerationResult> waiting = submit(engine);
            runner.get().beforeStep = () -> sneakyThrow(failure);
            gate.countDown();
            assertThat(running.result().get().error()).contains("the engine failed", failure.getMessage());
            assertThat(waiting.result().get().finishReason()).isEqualTo(FinishReason.ERROR);
            assertThatThrownBy(() -> submit(engine))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining(failure.getMessage())
                    .hasCause(failure);
            engine.close();
            assertThat(runner.get().isClosed()).isTrue();
        }
    }

    @Test
    void aCallbackMayNotSubmitOrCloseOnTheEnginesThread() throws Exception {
        try (NosaEngine engine = start(EngineHarness.config().build())) {
            CountDownLatch gate = hold();
            RequestHandle<GenerationResult> first = submit(engine);
            CompletableFuture<Void> closing = first.result().thenAccept(result -> engine.close());
            CompletableFuture<Void> submitting = first.result().thenAccept(result -> {
                try {
                    submit(engine);
                } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                }
            });
            gate.countDown();
            assertThatThrownBy(closing::get).hasMessageContaining("on the engine's own thread");
            assertThatThrownBy(submitting::get).hasMessageContaining("on the engine's own thread");
            assertThat(submit(engine).result().get().finishReason()).isEqualTo(FinishReason.LENGTH);
        }
    }

    @Test
    void cancellingAFinishedRequestDoesNothing() throws Exception {
        try (NosaEngine engine = start(EngineHarness.config().build())) {
            RequestHandle<GenerationResult> handle = submit(engine);
            assertThat(handle.result().get().finishReason()).isEqualTo(FinishReason.LENGTH);
            handle.cancel();
            assertThat(submit(engine).result().get().finishReason()).isEqualTo(FinishReason.LENGTH);
        }
    }

    @Test
    void aRequestThatCannotRunCompletesAtOnceEvenIfTheQueueIsFull() throws Exception {
        try (NosaEngine engine =
                start(EngineHarness.config().maxBatch(1).queueCapacity(1).build())) {
            CountDownLatch gate = hold();
            submit(engine);
            awaitRunning(engine, 1);
            submit(engine);
            RequestHandle<GenerationResult> refused =
                    engine.generate(EngineHarness.generation(new int[EngineHarness.MAX_CONTEXT], 1));
            assertThat(refused.result()).isDone();
            assertThat(refused.result().get().error()).contains("--max-context");
            refused.cancel();
            gate.countDown();
        }
    }

    @Test
    void whatWasOpenedIsClosedIfTheStartFails() {
        Deque<Runnable> closers = new ArrayDeque<>();
        AtomicReference<String> closed = new AtomicReference<>();
        closers.push(() -> closed.set("checkpoint"));
        assertThatThrownBy(() -> NosaEngine.start(
                        EngineHarness.config().build(),
                        EngineHarness.model(),
                        tokenizer,
                        (layout, options) -> {
                            throw new IllegalArgumentException("no such backend");
                        },
                        closers))
                .hasMessage("no such backend");
        assertThat(tokenizer.isClosed()).isTrue();
        assertThat(closed).hasValue("checkpoint");
    }

    private NosaEngine start(EngineConfig config) {
        return EngineHarness.start(config, tokenizer, runner);
    }

    private static RequestHandle<GenerationResult> submit(InferenceEngine engine) throws InterruptedException {
        return engine.generate(EngineHarness.generation(new int[] {100, 101, 102}, 5));
    }

    private static CompletableFuture<RequestHandle<GenerationResult>> submitAsync(InferenceEngine engine) {
        return CompletableFuture.supplyAsync(
                () -> {
                    try {
                        return submit(engine);
                    } catch (InterruptedException e) {
                        throw new IllegalStateException(e);
                    }
                },
                OWN_THREAD);
    }

    /** Lets no step begin until the latch is down. */
    private CountDownLatch hold() {
        CountDownLatch gate = new CountDownLatch(1);
        runner.get().beforeStep = () -> {
            try {
                gate.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        };
        return gate;
    }

    private static void awaitRunning(NosaEngine engine, int requests) throws InterruptedException {
        while (engine.stats().running() < requests) {
            Thread.sleep(1);
        }
    }

    @SuppressWarnings("unchecked")
    private static <E extends Throwable> void sneakyThrow(Throwable failure) throws E {
        throw (E) failure;
    }
}
