package dev.nosa.engine;

import dev.nosa.cache.KvCacheManager;
import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.checkpoint.Checkpoints;
import dev.nosa.model.ModelConfig;
import dev.nosa.model.ModelConfigParser;
import dev.nosa.runner.ModelRunner;
import dev.nosa.runner.ModelRunners;
import dev.nosa.schedule.AdmissionControl;
import dev.nosa.schedule.Scheduler;
import dev.nosa.tokenizer.HuggingFaceTokenizer;
import dev.nosa.tokenizer.Tokenizer;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** The engine: a checkpoint, its tokenizer and runner, and one daemon thread that steps them. Safe from any thread. */
public final class NosaEngine implements InferenceEngine {
    private final ModelConfig model;
    private final Tokenizer tokenizer;
    private final AdmissionControl admission;
    private final EngineInfo info;
    private final Inbox inbox;
    private final EngineLoop loop;
    private final Thread thread;
    /** What the engine owns, the last opened first. */
    private final Deque<Runnable> closers;

    private NosaEngine(
            EngineConfig config,
            ModelConfig model,
            Tokenizer tokenizer,
            RunnerFactory runners,
            Deque<Runnable> closers) {
        this.model = model;
        this.tokenizer = tokenizer;
        this.closers = closers;
        String backend = ModelRunners.resolveBackend(config.backend(), config.device());
        Memory memory = Memory.plan(config, model, backend);
        admission = new AdmissionControl(memory.layout(), memory.budget(), memory.maxContext());
        ModelRunner runner = runners.create(memory.layout(), memory.options());
        closers.push(runner::close);
        KvCacheManager cache = new KvCacheManager(memory.layout(), memory.budget());
        info = new EngineInfo(
                runner.device(),
                memory.options().maxBatch(),
                memory.budget().deviceBytes(),
                memory.layout().hostBlockBytes());
        inbox = new Inbox(config.queueCapacity());
        loop = new EngineLoop(
                inbox, new Scheduler<>(cache, info.maxBatch(), memory.options().maxStepTokens()), cache, runner, model);
        thread = new Thread(loop, "nosa-engine");
        thread.setDaemon(true);
    }

    /**
     * Opens the checkpoint, loads the model and starts the engine's thread.
     *
     * @throws dev.nosa.checkpoint.CheckpointException if the checkpoint cannot be used
     * @throws IllegalArgumentException if the configuration does not go with it, or with the memory
     */
    public static InferenceEngine start(EngineConfig config) {
        Deque<Runnable> closers = new ArrayDeque<>();
        try (Checkpoint checkpoint = Checkpoints.open(config.model(), config.loadFormat())) {
            ModelConfig model = ModelConfigParser.parse(config.model(), checkpoint);
            RunnerFactory runners =
                    (layout, options) -> ModelRunners.create(model, layout.mode(), checkpoint, layout, options);
            return start(config, model, HuggingFaceTokenizer.load(config.model()), runners, closers);
        }
    }

    /**
     * Loads the model and starts the thread. The engine owns {@code tokenizer} and closes it, also if this fails.
     *
     * @param closers what else to close after the runner and the tokenizer
     */
    static NosaEngine start(
            EngineConfig config,
            ModelConfig model,
            Tokenizer tokenizer,
            RunnerFactory runners,
            Deque<Runnable> closers) {
        closers.push(tokenizer::close);
        try {
            requireVocabulary(config.model(), tokenizer, model);
            NosaEngine engine = new NosaEngine(config, model, tokenizer, runners, closers);
            engine.thread.start();
            return engine;
        } catch (RuntimeException | Error e) {
            closeAfter(e, closers);
            throw e;
        }
    }

    /** Fails with an {@link IllegalArgumentException} if the tokenizer has ids that the model does not have. */
    public static void requireVocabulary(Path folder, Tokenizer tokenizer, ModelConfig model) {
        if (tokenizer.vocabSize() > model.vocabSize()) {
            throw new IllegalArgumentException(folder + ": tokenizer.json has ids up to " + (tokenizer.vocabSize() - 1)
                    + ", but config.json's vocab_size is " + model.vocabSize());
        }
    }

    @Override
    public RequestHandle<GenerationResult> generate(GenerationRequest request) throws InterruptedException {
        return generate(new GenerationGroup(List.of(request), 0)).get(0);
    }

    @Override
    public List<RequestHandle<GenerationResult>> generate(GenerationGroup group) throws InterruptedException {
        List<Generation> generations = group.requests().stream()
                .map(request -> Generation.of(
                        request, model.eosTokens(), admission.maxContext(), tokenizer.newDecoder(), admission.layout()))
                .toList();
        submit(generations, group.headTokens());
        return generations.stream()
                .map(generation -> handle(generation, generation.future()))
                .toList();
    }

    @Override
    public RequestHandle<ScoringResult> score(ScoringRequest request) throws InterruptedException {
        Scoring scoring = Scoring.of(request, admission.layout());
        submit(List.of(scoring), 0);
        return handle(scoring, scoring.future());
    }

    @Override
    public void checkAlive() {
        inbox.checkOpen();
    }

    @Override
    public EngineInfo info() {
        return info;
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
        return loop.stats();
    }

    @Override
    public synchronized void close() {
        checkCaller();
        inbox.close();
        joinThread();
        closeAll(closers);
    }

    /** Submits those that can run; the others get their results. */
    private void submit(List<? extends ActiveRequest> requests, int headTokens) throws InterruptedException {
        checkCaller();
        inbox.checkOpen();
        List<ActiveRequest> accepted = new ArrayList<>();
        for (ActiveRequest request : requests) {
            request.refusal(admission, model.vocabSize())
                    .ifPresentOrElse(reason -> request.complete(Outcome.error(reason)), () -> accepted.add(request));
        }
        if (!accepted.isEmpty()) {
            GroupPrefix.of(accepted, headTokens, admission).share(accepted, admission.layout());
            inbox.submit(accepted);
        }
    }

    private <R> RequestHandle<R> handle(ActiveRequest request, CompletableFuture<R> result) {
        return new Handle<>(result, () -> inbox.cancel(request));
    }

    private void checkCaller() {
        if (Thread.currentThread() == thread) {
            throw new IllegalStateException("called on the engine's own thread, which would wait for itself: give the"
                    + " result's future an Async action");
        }
    }

    private void joinThread() {
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Closes the last opened first, and all of them even if one fails. */
    private static void closeAll(Deque<Runnable> closers) {
        if (!closers.isEmpty()) {
            try {
                closers.pop().run();
            } finally {
                closeAll(closers);
            }
        }
    }

    private static void closeAfter(Throwable cause, Deque<Runnable> closers) {
        try {
            closeAll(closers);
        } catch (RuntimeException e) {
            cause.addSuppressed(e);
        }
    }

    private record Handle<R>(CompletableFuture<R> result, Runnable onCancel) implements RequestHandle<R> {
        @Override
        public void cancel() {
            onCancel.run();
        }
    }
}
