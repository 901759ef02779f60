package dev.nosa.spark;

import dev.nosa.arrow.ResultRow;
import dev.nosa.engine.FinishReason;
import dev.nosa.engine.GenerationGroup;
import dev.nosa.engine.GenerationRequest;
import dev.nosa.engine.GenerationResult;
import dev.nosa.engine.InferenceEngine;
import dev.nosa.engine.RequestHandle;
import dev.nosa.spark.RowRequests.Submitted;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/** Submits the prompts of a row together, so that what they begin with is computed once. Used by one thread. */
final class RowGenerations {
    private final TransformOptions options;
    private final PromptBuilder prompts;
    /** Null where equal prompts are computed again. */
    private final KnownResults results;

    RowGenerations(TransformOptions options, PromptBuilder prompts) {
        this.options = options;
        this.prompts = prompts;
        results = options.generates() && options.generation().dedupe() ? new KnownResults() : null;
    }

    List<Submitted> submit(String id, List<PromptBuilder.Prompt> built, InferenceEngine engine)
            throws InterruptedException {
        List<Submitted> all = new ArrayList<>();
        Map<Integer, CompletableFuture<ResultRow>> open = new LinkedHashMap<>();
        for (int i = 0; i < built.size(); i++) {
            PromptBuilder.Prompt prompt = built.get(i);
            if (prompt.error() != null) {
                all.add(Submitted.failed(i, id, prompt.kind(), prompt.error()));
                continue;
            }
            CompletableFuture<ResultRow> own = new CompletableFuture<>();
            Optional<CompletableFuture<ResultRow>> known =
                    results == null ? Optional.empty() : results.find(prompt.tokens(), own);
            if (known.isEmpty()) {
                open.put(i, own);
            } else {
                all.add(new Submitted(
                        i, null, known.get().thenApply(row -> KnownResults.copy(row, id, prompt.truncated()))));
            }
        }
        if (!open.isEmpty()) {
            all.addAll(generate(id, built, open, engine));
        }
        return all;
    }

    /** Completes the futures, each of which belongs to the prompt of that index. */
    private List<Submitted> generate(
            String id,
            List<PromptBuilder.Prompt> built,
            Map<Integer, CompletableFuture<ResultRow>> open,
            InferenceEngine engine)
            throws InterruptedException {
        List<Integer> indexes = List.copyOf(open.keySet());
        List<GenerationRequest> requests =
                indexes.stream().map(i -> request(id, i, built.get(i))).toList();
        List<RequestHandle<GenerationResult>> handles = engine.generate(
                new GenerationGroup(requests, headTokens(requests.get(0).prompt())));
        List<Submitted> submitted = new ArrayList<>();
        for (int i = 0; i < handles.size(); i++) {
            int index = indexes.get(i);
            CompletableFuture<ResultRow> row = open.get(index);
            handles.get(i)
                    .result()
                    .thenAccept(
                            result -> row.complete(row(result, built.get(index).truncated())));
            submitted.add(new Submitted(index, handles.get(i), row));
        }
        return submitted;
    }

    private int headTokens(int[] prompt) {
        int[] head = prompts.head();
        int differs = Arrays.mismatch(head, prompt);
        return differs < 0 || differs == head.length ? head.length : 0;
    }

    private GenerationRequest request(String id, int index, PromptBuilder.Prompt prompt) {
        TransformOptions.Generation generation = options.generation();
        String name = options.prompts().all().get(index).name();
        long seed = generation.sampling().seed();
        long own = results == null ? RowSeed.of(seed, id, name) : RowSeed.of(seed, prompt.tokens());
        return new GenerationRequest(
                id,
                prompt.tokens(),
                generation.maxNewTokens(),
                generation.sampling().withSeed(own),
                generation.stop(),
                new HashSet<>(generation.stopTokens()));
    }

    private static ResultRow row(GenerationResult result, boolean truncated) {
        return new ResultRow(
                result.id(),
                result.finishReason() == FinishReason.ERROR ? null : result.text(),
                null,
                status(result.finishReason(), truncated),
                result.error(),
                result.finishReason().columnValue(),
                result.usage());
    }

    static String status(FinishReason reason, boolean truncated) {
        if (reason == FinishReason.ERROR || reason == FinishReason.CANCELLED) {
            return ResultRow.ERROR;
        }
        return truncated ? ResultRow.TRUNCATED : ResultRow.OK;
    }
}
