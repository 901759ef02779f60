package dev.nosa.job;

import dev.nosa.engine.EngineConfig;
import dev.nosa.engine.GenerationGroup;
import dev.nosa.engine.GenerationRequest;
import dev.nosa.engine.GenerationResult;
import dev.nosa.engine.InferenceEngine;
import dev.nosa.engine.NosaEngine;
import dev.nosa.engine.RequestHandle;
import dev.nosa.sample.SamplingParams;
import java.io.InterruptedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/**
 * Several prompts about one document against one prompt, on the bare engine: documents of random tokens, each prompt with tokens
 * of its own behind them. One and several take turns; each has new documents.
 */
final class PromptsBench {
    static final int OWN_TOKENS = 32;

    private final EngineConfig config;
    private final int prompts;
    private final int context;
    private final int newTokens;
    private final int repeats;
    private final Random random = new Random(5);

    PromptsBench(EngineConfig config, int prompts, int context, int newTokens, int repeats) {
        this.config = config;
        this.prompts = prompts;
        this.context = context;
        this.newTokens = newTokens;
        this.repeats = repeats;
    }

    void run(SparkBench.Report report) throws InterruptedIOException {
        try (InferenceEngine engine = NosaEngine.start(config)) {
            seconds(engine, prompts); // warms up
            double[] one = new double[repeats];
            double[] several = new double[repeats];
            double[] ratios = new double[repeats];
            for (int i = 0; i < repeats; i++) {
                one[i] = seconds(engine, 1);
                several[i] = seconds(engine, prompts);
                ratios[i] = several[i] / one[i];
            }
            Map<String, Object> labels = Map.of("context", context, "own_tokens", OWN_TOKENS, "new_tokens", newTokens);
            report.add("prompts", "seconds", SparkBench.median(one), with(labels, 1));
            report.add("prompts", "seconds", SparkBench.median(several), with(labels, prompts));
            report.add("prompts_over_one", "ratio", SparkBench.median(ratios), with(labels, prompts));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while measuring");
        }
    }

    private static Map<String, Object> with(Map<String, Object> labels, int prompts) {
        Map<String, Object> all = new HashMap<>(labels);
        all.put("prompts", prompts);
        return all;
    }

    private double seconds(InferenceEngine engine, int count) throws InterruptedException {
        int vocab = engine.tokenizer().vocabSize();
        int[] document = random.ints(context, 0, vocab).toArray();
        List<GenerationRequest> requests = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int[] prompt = Arrays.copyOf(document, context + OWN_TOKENS);
            for (int t = context; t < prompt.length; t++) {
                prompt[t] = random.nextInt(vocab);
            }
            requests.add(new GenerationRequest("bench", prompt, newTokens, SamplingParams.GREEDY, List.of(), Set.of()));
        }
        long start = System.nanoTime();
        for (RequestHandle<GenerationResult> handle : engine.generate(new GenerationGroup(requests, 0))) {
            GenerationResult result = handle.result().join();
            if (result.error() != null) {
                throw new IllegalStateException(result.error());
            }
        }
        return (System.nanoTime() - start) / 1e9;
    }
}
