package dev.nosa.spark;

import dev.nosa.backend.DeviceInfo;
import dev.nosa.backend.KvTraffic;
import dev.nosa.engine.EngineInfo;
import dev.nosa.engine.EngineStats;
import dev.nosa.engine.FinishReason;
import dev.nosa.engine.GenerationGroup;
import dev.nosa.engine.GenerationRequest;
import dev.nosa.engine.GenerationResult;
import dev.nosa.engine.InferenceEngine;
import dev.nosa.engine.RequestHandle;
import dev.nosa.engine.ScoringRequest;
import dev.nosa.engine.ScoringResult;
import dev.nosa.engine.Usage;
import dev.nosa.model.ModelConfig;
import dev.nosa.testkit.TinyModel;
import dev.nosa.tokenizer.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * An engine without a model: a generation repeats its prompt, every token scores -1. A prompt with the word REFUSE ends in
 * an error. Requests end at once, or when the test says so.
 */
final class FakeEngine implements InferenceEngine {
    static final int MAX_BATCH = 8;

    private final Tokenizer tokenizer = new ByteTokenizer();
    private final ModelConfig model;
    private final boolean endAtOnce;
    private final List<Pending> requests = new CopyOnWriteArrayList<>();
    private final List<GenerationGroup> groups = new CopyOnWriteArrayList<>();
    private volatile RuntimeException failure;
    private volatile boolean closed;

    /** A request that waits for {@link #finish}, and what its result will be. */
    static final class Pending implements RequestHandle<GenerationResult> {
        private final GenerationResult answer;
        private final CompletableFuture<GenerationResult> result = new CompletableFuture<>();
        private volatile boolean cancelled;

        private Pending(GenerationResult answer) {
            this.answer = answer;
        }

        @Override
        public CompletableFuture<GenerationResult> result() {
            return result;
        }

        @Override
        public void cancel() {
            cancelled = true;
            result.complete(
                    new GenerationResult(answer.id(), "", new int[0], FinishReason.CANCELLED, null, answer.usage()));
        }

        void finish() {
            result.complete(answer);
        }

        boolean isCancelled() {
            return cancelled;
        }

        String id() {
            return answer.id();
        }
    }

    FakeEngine(int maxPositions, boolean endAtOnce) {
        this.model = TinyModel.builder().maxPositions(maxPositions).build().config();
        this.endAtOnce = endAtOnce;
    }

    @Override
    public EngineInfo info() {
        return new EngineInfo(new DeviceInfo("fake", "none", 80), MAX_BATCH, 70, 10);
    }

    HostedModel hosted() {
        return new HostedModel(this, Optional.empty());
    }

    List<GenerationGroup> groups() {
        return groups;
    }

    List<Pending> requests() {
        return requests;
    }

    /** Every request so far ends in an error, and there will be no others. */
    void fail(RuntimeException cause) {
        failure = cause;
        for (Pending request : requests) {
            GenerationResult answer = request.answer;
            request.result.complete(new GenerationResult(
                    answer.id(), "", new int[0], FinishReason.ERROR, "the engine failed", answer.usage()));
        }
    }

    boolean isClosed() {
        return closed;
    }

    @Override
    public RequestHandle<GenerationResult> generate(GenerationRequest request) {
        checkAlive();
        String prompt = tokenizer.decode(request.prompt());
        boolean refused = prompt.contains("REFUSE");
        Pending pending = new Pending(new GenerationResult(
                request.id(),
                refused ? "" : prompt,
                request.prompt(),
                refused ? FinishReason.ERROR : FinishReason.STOP,
                refused ? "refused" : null,
                usage(request.prompt().length, request.prompt().length)));
        requests.add(pending);
        if (endAtOnce) {
            pending.finish();
        }
        return pending;
    }

    @Override
    public List<RequestHandle<GenerationResult>> generate(GenerationGroup group) {
        groups.add(group);
        return group.requests().stream()
                .<RequestHandle<GenerationResult>>map(this::generate)
                .toList();
    }

    @Override
    public RequestHandle<ScoringResult> score(ScoringRequest request) {
        checkAlive();
        List<ScoringResult.Score> scores = new ArrayList<>();
        int tokens = 0;
        for (int[] continuation : request.continuations()) {
            float[] logProbs = new float[continuation.length];
            java.util.Arrays.fill(logProbs, -1);
            scores.add(new ScoringResult.Score(continuation, logProbs));
            tokens += continuation.length;
        }
        CompletableFuture<ScoringResult> result = CompletableFuture.completedFuture(new ScoringResult(
                request.id(), scores, FinishReason.STOP, null, usage(request.prompt().length, tokens)));
        return new RequestHandle<>() {
            @Override
            public CompletableFuture<ScoringResult> result() {
                return result;
            }

            @Override
            public void cancel() {}
        };
    }

    @Override
    public void checkAlive() {
        if (failure != null) {
            throw new IllegalStateException("the engine failed: " + failure.getMessage(), failure);
        }
    }

    @Override
    public ModelConfig model() {
        return model;
    }

    @Override
    public Tokenizer tokenizer() {
        return tokenizer;
    }

    @Override
    public EngineStats stats() {
        return new EngineStats(
                3,
                2,
                10,
                700,
                50,
                1.5,
                0.5,
                100,
                new KvTraffic(40, 4, 4096, 2048),
                5,
                20,
                3,
                0.025,
                16,
                15,
                0.25,
                new long[] {3, 1});
    }

    @Override
    public void close() {
        closed = true;
    }

    private static Usage usage(int promptTokens, int outputTokens) {
        return new Usage(promptTokens, 0, outputTokens, 1, 2, 3, new KvTraffic(40, 4, 0, 0), 1_790_000_000_000L);
    }
}
