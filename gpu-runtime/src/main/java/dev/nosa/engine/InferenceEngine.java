package dev.nosa.engine;

import dev.nosa.model.ModelConfig;
import dev.nosa.tokenizer.Tokenizer;
import java.util.List;

/**
 * A model with its KV cache and one thread that steps it: requests in, results out in order of completion. Every method
 * is safe from any thread.
 */
public interface InferenceEngine extends AutoCloseable {
    /**
     * Hands a request over; waits while {@link EngineConfig#queueCapacity} requests are waiting already.
     *
     * <p>A request that cannot run (empty prompt, longer than the model or than the KV budget) completes with
     * {@link FinishReason#ERROR} and the reason. After {@link #close} or the engine's failure: {@link
     * IllegalStateException} with the first cause.
     */
    RequestHandle<GenerationResult> generate(GenerationRequest request) throws InterruptedException;

    /**
     * Like {@link #generate(GenerationRequest)} for prompts that begin alike; the handles stand in the order of the
     * requests, and each is cancelled alone.
     */
    List<RequestHandle<GenerationResult>> generate(GenerationGroup group) throws InterruptedException;

    /** Like {@link #generate(GenerationRequest)}, for log-probabilities. */
    RequestHandle<ScoringResult> score(ScoringRequest request) throws InterruptedException;

    /** Throws {@link IllegalStateException} with the first cause if the engine has failed or is closed. */
    void checkAlive();

    EngineInfo info();

    ModelConfig model();

    Tokenizer tokenizer();

    EngineStats stats();

    /** Cancels what runs and waits, stops the thread, returns all memory. The second call does nothing. */
    @Override
    void close();
}
