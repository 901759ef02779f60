package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.engine.EngineConfig;
import dev.nosa.sample.SamplingParams;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.apache.spark.TaskKilledException;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.expressions.GenericRowWithSchema;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

class PartitionGeneratorTest {
    private static final int MAX_BATCH = FakeEngine.MAX_BATCH;

    private final AtomicInteger read = new AtomicInteger();
    private final AtomicBoolean killed = new AtomicBoolean();
    private final FakeEngine manual = new FakeEngine(1000, false);
    private final FakeEngine immediate = new FakeEngine(1000, true);

    @Test
    void keepsTwiceTheBatchInFlightAndReadsNoFurther() {
        PartitionGenerator generator = generator(manual.hosted(), rows(1000));
        CompletableFuture<Boolean> first = CompletableFuture.supplyAsync(generator::hasNext);
        awaitRequests(2 * MAX_BATCH);

        assertThat(read.get()).isEqualTo(2 * MAX_BATCH);
        assertThat(first).isNotDone();
        manual.requests().get(3).finish();
        assertThat(first.orTimeout(10, TimeUnit.SECONDS).join()).isTrue();
        assertThat(generator.next().getString(0)).isEqualTo("id3");
        generator.close();
    }

    @Test
    void aResultThatIsThereDoesNotWaitForTheOthers() {
        PartitionGenerator generator = generator(manual.hosted(), rows(100));
        CompletableFuture<Row> first = CompletableFuture.supplyAsync(generator::next);
        awaitRequests(2 * MAX_BATCH);

        manual.requests().get(5).finish();

        assertThat(first.orTimeout(10, TimeUnit.SECONDS).join().getString(0)).isEqualTo("id5");
        assertThat(read.get()).isEqualTo(2 * MAX_BATCH);
        generator.close();
    }

    @Test
    void everyRowComesOutOnceWhateverBecomesOfIt() {
        List<Row> input = new ArrayList<>(rows(50));
        input.set(10, row("id10", null));
        input.set(20, row("id20", ""));
        input.set(30, row("id30", "x".repeat(2000)));
        input.set(40, row("id40", "REFUSE"));
        input.set(49, row(null, "text"));

        List<Row> output = drain(generator(immediate.hosted(), input));

        assertThat(output).hasSize(50);
        assertThat(output.stream()
                        .filter(row -> row.getString(2).equals("error"))
                        .map(row -> row.getString(0)))
                .containsExactlyInAnyOrder("id10", "id20", "id30", "id40", null);
        assertThat(output.stream().map(row -> row.getString(0)).distinct()).hasSize(50);
    }

    @Test
    void aRefusedRequestIsARowWithTheEnginesReason() {
        Row row = drain(generator(immediate.hosted(), List.of(row("a", "REFUSE"))))
                .get(0);

        assertThat(row.getString(1)).isNull();
        assertThat(row.getString(2)).isEqualTo("error");
        assertThat(row.getString(3)).isEqualTo("refused");
        assertThat(row.getString(4)).isEqualTo("error");
    }

    @Test
    void closingCancelsWhatIsInFlight() {
        PartitionGenerator generator = generator(manual.hosted(), rows(100));
        CompletableFuture<Row> first = CompletableFuture.supplyAsync(generator::next);
        awaitRequests(2 * MAX_BATCH);
        manual.requests().get(0).finish();
        first.orTimeout(10, TimeUnit.SECONDS).join();

        generator.close();

        assertThat(manual.requests().stream()
                        .filter(FakeEngine.Pending::isCancelled)
                        .map(FakeEngine.Pending::id))
                .containsExactlyElementsOf(IntStream.range(1, 2 * MAX_BATCH)
                        .mapToObj(i -> "id" + i)
                        .toList());
    }

    @Test
    void aKilledTaskStopsWaiting() {
        PartitionGenerator generator = generator(manual.hosted(), rows(100));
        CompletableFuture<Boolean> waiting = CompletableFuture.supplyAsync(generator::hasNext);
        awaitRequests(2 * MAX_BATCH);

        killed.set(true);

        assertThatThrownBy(() -> waiting.orTimeout(10, TimeUnit.SECONDS).join())
                .hasCauseInstanceOf(TaskKilledException.class);
        generator.close();
    }

    @Test
    void anInterruptedTaskEndsAsKilledAndStaysInterrupted() throws InterruptedException {
        PartitionGenerator generator = generator(manual.hosted(), rows(100));
        AtomicReference<Throwable> thrown = new AtomicReference<>();
        AtomicBoolean interrupted = new AtomicBoolean();
        Thread task = new Thread(() -> {
            try {
                generator.forEachRemaining(row -> {});
            } catch (TaskKilledException e) {
                thrown.set(e);
                interrupted.set(Thread.currentThread().isInterrupted());
            }
        });
        task.start();
        awaitRequests(2 * MAX_BATCH);

        task.interrupt();
        task.join(10_000);

        assertThat(thrown.get()).isInstanceOf(TaskKilledException.class);
        assertThat(interrupted).isTrue();
        generator.close();
    }

    @Test
    void aGeneratorThatWasClosedMeanwhileFailsInsteadOfEnding() {
        PartitionGenerator generator = generator(manual.hosted(), rows(100));
        CompletableFuture<Boolean> waiting = CompletableFuture.supplyAsync(generator::hasNext);
        awaitRequests(2 * MAX_BATCH);

        generator.close();

        assertThatThrownBy(() -> waiting.orTimeout(10, TimeUnit.SECONDS).join())
                .hasRootCauseMessage("the task has ended");
    }

    @Test
    void aDeadEngineFailsTheTaskWithTheFirstCause() {
        PartitionGenerator generator = generator(manual.hosted(), rows(3));
        CompletableFuture<Boolean> waiting = CompletableFuture.supplyAsync(generator::hasNext);
        awaitRequests(3);

        manual.fail(new IllegalStateException("out of device memory"));

        assertThatThrownBy(() -> waiting.orTimeout(10, TimeUnit.SECONDS).join())
                .hasRootCauseMessage("out of device memory");
        generator.close();
    }

    @Test
    void twoTasksShareTheWindow() {
        HostedModel model = manual.hosted();
        PartitionGenerator one = generator(model, rows(100));
        PartitionGenerator two = generator(model, rows(100));
        CompletableFuture<Boolean> first = CompletableFuture.supplyAsync(one::hasNext);
        CompletableFuture<Boolean> second = CompletableFuture.supplyAsync(two::hasNext);
        awaitRequests(2 * MAX_BATCH);

        manual.requests().forEach(FakeEngine.Pending::finish);

        assertThat(first.orTimeout(10, TimeUnit.SECONDS).join()).isTrue();
        assertThat(second.orTimeout(10, TimeUnit.SECONDS).join()).isTrue();
        assertThat(manual.requests()).hasSize(2 * MAX_BATCH);
        one.close();
        two.close();
    }

    private PartitionGenerator generator(HostedModel model, List<Row> input) {
        TransformOptions options = new TransformOptions(
                EngineOptions.of(EngineConfig.builder(Path.of("model"))
                        .maxBatch(MAX_BATCH)
                        .build()),
                Prompts.single(PromptTemplate.parse("{text}")),
                null,
                "text",
                "id",
                null,
                List.of(),
                true,
                OnTooLong.ERROR,
                new TransformOptions.Generation(10, SamplingParams.GREEDY, List.of(), List.of()),
                null);
        PromptBuilder prompts = new PromptBuilder(options, model.engine().tokenizer(), Optional.empty(), 1000);
        RowRequests requests = new RowRequests(options, prompts, model.engine().tokenizer());
        Iterator<Row> counted =
                input.stream().peek(row -> read.incrementAndGet()).iterator();
        return new PartitionGenerator(options, counted, model, requests, null, killed::get);
    }

    private void awaitRequests(int count) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
        while (manual.requests().size() < count && System.nanoTime() < deadline) {
            Thread.onSpinWait();
        }
        assertThat(manual.requests()).hasSize(count);
    }

    private static List<Row> drain(PartitionGenerator generator) {
        List<Row> rows = new ArrayList<>();
        generator.forEachRemaining(rows::add);
        return rows;
    }

    private static List<Row> rows(int count) {
        return IntStream.range(0, count)
                .mapToObj(i -> row("id" + i, "text " + i))
                .toList();
    }

    private static Row row(String id, String text) {
        StructType schema = new StructType().add("id", "string").add("text", "string");
        return new GenericRowWithSchema(new Object[] {id, text}, schema);
    }
}
