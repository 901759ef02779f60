package dev.nosa.engine;

import dev.nosa.cache.KvCacheManager;
import dev.nosa.cache.KvLayout;
import dev.nosa.cache.MemoryBudget;
import dev.nosa.model.ModelConfig;
import dev.nosa.model.RopeConfig;
import dev.nosa.sample.SamplingParams;
import dev.nosa.schedule.AdmissionControl;
import dev.nosa.schedule.Scheduler;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;

/** An engine over a {@link FakeRunner}, stepped by the test or by its own thread. */
final class EngineHarness {
    static final SparseConfig SPARSE = new SparseConfig(16, 8, 4, 1, 1, 6, 2, 0);
    static final int MAX_CONTEXT = 512;

    final KvLayout layout = new KvLayout(2, 2, 32, AttentionMode.NOSA, SPARSE, 12, 4, 4);
    final Inbox inbox = new Inbox(1_000_000);
    final ByteTokenizer tokenizer = new ByteTokenizer();
    final KvCacheManager cache;
    final FakeRunner runner;
    final EngineLoop loop;
    private final AdmissionControl admission;

    EngineHarness(int maxBatch, int hostBlocks, long deviceBytes, int maxStepTokens) {
        MemoryBudget budget = new MemoryBudget(2 * maxBatch, hostBlocks, deviceBytes);
        cache = new KvCacheManager(layout, budget);
        runner = new FakeRunner(layout, budget, maxStepTokens);
        admission = new AdmissionControl(layout, budget, MAX_CONTEXT);
        loop = new EngineLoop(inbox, new Scheduler<>(cache, maxBatch, maxStepTokens), cache, runner, model());
    }

    static ModelConfig model() {
        return new ModelConfig(
                2,
                64,
                128,
                4,
                2,
                32,
                FakeRunner.VOCAB,
                MAX_CONTEXT,
                1e-6f,
                new RopeConfig(new float[16], 1f),
                false,
                false,
                0,
                Set.of(FakeRunner.EOS),
                true,
                AttentionMode.NOSA,
                SPARSE);
    }

    static EngineConfig.Builder config() {
        return EngineConfig.builder(Path.of("model"))
                .maxBatch(4)
                .maxStepTokens(128)
                .hostKvBytes(16L << 20)
                .deviceKvBytes(16L << 20);
    }

    /** A started engine; its runner comes through {@code runner}. */
    static NosaEngine start(EngineConfig config, ByteTokenizer tokenizer, AtomicReference<FakeRunner> runner) {
        return NosaEngine.start(
                config,
                model(),
                tokenizer,
                (layout, options) -> {
                    MemoryBudget budget =
                            new MemoryBudget(options.maxRows(), options.hostBlocks(), config.deviceKvBytes());
                    runner.set(new FakeRunner(layout, budget, config.maxStepTokens()));
                    return runner.get();
                },
                new ArrayDeque<>());
    }

    static NosaEngine start(EngineConfig config) {
        return start(config, new ByteTokenizer(), new AtomicReference<>());
    }

    static GenerationRequest generation(int[] prompt, int maxNewTokens, String... stop) {
        return new GenerationRequest("g", prompt, maxNewTokens, SamplingParams.GREEDY, List.of(stop), Set.of());
    }

    static int[] randomTokens(Random random, int count) {
        int[] tokens = new int[count];
        Arrays.setAll(tokens, i -> FakeRunner.POISON + 1 + random.nextInt(FakeRunner.VOCAB - FakeRunner.POISON - 1));
        return tokens;
    }

    /** What the fake model generates after {@code prompt} with nobody else around. */
    static int[] expected(int[] prompt, int count) {
        int[] tokens = Arrays.copyOf(prompt, prompt.length + count);
        for (int i = prompt.length; i < tokens.length; i++) {
            tokens[i] = FakeRunner.next(tokens, i);
        }
        return Arrays.copyOfRange(tokens, prompt.length, tokens.length);
    }

    static float[] expectedScores(int[] prompt, int[] continuation) {
        int[] tokens = Arrays.copyOf(prompt, prompt.length + continuation.length);
        System.arraycopy(continuation, 0, tokens, prompt.length, continuation.length);
        float[] scores = new float[continuation.length];
        for (int i = 0; i < scores.length; i++) {
            scores[i] = FakeRunner.logProb(tokens, prompt.length + i, continuation[i]);
        }
        return scores;
    }

    Generation submit(GenerationRequest request) throws InterruptedException {
        Generation generation =
                Generation.of(request, Set.of(FakeRunner.EOS), MAX_CONTEXT, tokenizer.newDecoder(), layout);
        enter(generation);
        return generation;
    }

    /** The group's requests, none of which is refused. */
    List<Generation> submit(GenerationGroup group) throws InterruptedException {
        List<Generation> generations = group.requests().stream()
                .map(request ->
                        Generation.of(request, Set.of(FakeRunner.EOS), MAX_CONTEXT, tokenizer.newDecoder(), layout))
                .toList();
        GroupPrefix.of(List.copyOf(generations), group.headTokens(), admission).share(generations, layout);
        inbox.submit(generations);
        return generations;
    }

    Scoring submit(ScoringRequest request) throws InterruptedException {
        Scoring scoring = Scoring.of(request, layout);
        enter(scoring);
        return scoring;
    }

    GenerationResult generate(GenerationRequest request) throws InterruptedException {
        Generation generation = submit(request);
        runUntilIdle();
        return generation.future().join();
    }

    ScoringResult score(ScoringRequest request) throws InterruptedException {
        Scoring scoring = submit(request);
        runUntilIdle();
        return scoring.future().join();
    }

    void runUntilIdle() {
        while (loop.step()) {
            cache.checkIntegrity();
        }
    }

    private void enter(ActiveRequest request) throws InterruptedException {
        var refusal = request.refusal(admission, FakeRunner.VOCAB);
        if (refusal.isPresent()) {
            request.complete(Outcome.error(refusal.get()));
        } else {
            inbox.submit(List.of(request));
        }
    }
}
