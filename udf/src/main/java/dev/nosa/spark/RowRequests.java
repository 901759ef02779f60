package dev.nosa.spark;

import dev.nosa.arrow.ResultRow;
import dev.nosa.engine.FinishReason;
import dev.nosa.engine.GenerationRequest;
import dev.nosa.engine.GenerationResult;
import dev.nosa.engine.InferenceEngine;
import dev.nosa.engine.RequestHandle;
import dev.nosa.engine.ScoringRequest;
import dev.nosa.engine.ScoringResult;
import dev.nosa.tokenizer.Tokenizer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import org.apache.spark.sql.Row;

/** Makes an engine request of a row, and a result row of its result. Used by one thread. */
final class RowRequests {
    private final TransformOptions options;
    private final PromptBuilder prompts;
    private final Tokenizer tokenizer;

    RowRequests(TransformOptions options, PromptBuilder prompts, Tokenizer tokenizer) {
        this.options = options;
        this.prompts = prompts;
        this.tokenizer = tokenizer;
    }

    /** A request on its way. */
    record Submitted(RequestHandle<?> handle, CompletableFuture<ResultRow> row) {}

    String id(Row row) {
        Object id = row.getAs(options.idColumn());
        return id == null ? null : id.toString();
    }

    Submitted submit(Row row, InferenceEngine engine) throws PromptBuilder.RowException, InterruptedException {
        if (id(row) == null) {
            throw new PromptBuilder.RowException("column '" + options.idColumn() + "' is null");
        }
        if (options.errorColumn() != null && row.getAs(options.errorColumn()) != null) {
            throw new PromptBuilder.RowException(row.getAs(options.errorColumn()));
        }
        Function<String, String> column = name -> {
            Object value = row.getAs(name);
            return value == null ? null : value.toString();
        };
        return options.generates() ? generate(row, column, engine) : score(row, column, engine);
    }

    private Submitted generate(Row row, Function<String, String> column, InferenceEngine engine)
            throws PromptBuilder.RowException, InterruptedException {
        TransformOptions.Generation generation = options.generation();
        PromptBuilder.Prompt prompt = prompts.build(column, generation.maxNewTokens());
        long seed = rowSeed(generation.sampling().seed(), id(row));
        RequestHandle<GenerationResult> handle = engine.generate(new GenerationRequest(
                id(row),
                prompt.tokens(),
                generation.maxNewTokens(),
                generation.sampling().withSeed(seed),
                generation.stop(),
                new HashSet<>(generation.stopTokens())));
        return new Submitted(
                handle,
                handle.result()
                        .thenApply(result -> new ResultRow(
                                result.id(),
                                result.finishReason() == FinishReason.ERROR ? null : result.text(),
                                null,
                                status(result.finishReason(), prompt.truncated()),
                                result.error(),
                                result.finishReason().columnValue(),
                                result.usage())));
    }

    private Submitted score(Row row, Function<String, String> column, InferenceEngine engine)
            throws PromptBuilder.RowException, InterruptedException {
        List<String> texts = continuations(row);
        List<int[]> tokens = new ArrayList<>();
        int longest = 0;
        for (String text : texts) {
            int[] continuation = tokenizer.encode(text, false);
            longest = Math.max(longest, continuation.length);
            tokens.add(continuation);
        }
        PromptBuilder.Prompt prompt = prompts.build(column, longest);
        RequestHandle<ScoringResult> handle = engine.score(new ScoringRequest(id(row), prompt.tokens(), tokens));
        return new Submitted(handle, handle.result().thenApply(result -> scored(result, texts, prompt.truncated())));
    }

    private List<String> continuations(Row row) throws PromptBuilder.RowException {
        String name = options.scoring().column();
        if (name == null) {
            return options.scoring().continuations();
        }
        List<String> texts = row.getList(row.fieldIndex(name));
        if (texts == null || texts.isEmpty()) {
            throw new PromptBuilder.RowException("column '" + name + "' holds no continuations");
        }
        for (String text : texts) {
            if (text == null || text.isEmpty()) {
                throw new PromptBuilder.RowException("a continuation is " + (text == null ? "null" : "empty"));
            }
        }
        return texts;
    }

    private static ResultRow scored(ScoringResult result, List<String> texts, boolean truncated) {
        List<ResultRow.Scored> scores = null;
        if (result.finishReason() == FinishReason.STOP) {
            scores = new ArrayList<>();
            for (int i = 0; i < texts.size(); i++) {
                scores.add(new ResultRow.Scored(texts.get(i), result.scores().get(i)));
            }
        }
        return new ResultRow(
                result.id(),
                null,
                scores,
                status(result.finishReason(), truncated),
                result.error(),
                result.finishReason().columnValue(),
                result.usage());
    }

    private static String status(FinishReason reason, boolean truncated) {
        if (reason == FinishReason.ERROR || reason == FinishReason.CANCELLED) {
            return ResultRow.ERROR;
        }
        return truncated ? ResultRow.TRUNCATED : ResultRow.OK;
    }

    /** From the run's seed and the row's id alone: partitions and batch mates do not matter. */
    static long rowSeed(long seed, String id) {
        long hash = 0xcbf29ce484222325L; // FNV-1a, 64 bits
        for (byte b : id.getBytes(StandardCharsets.UTF_8)) {
            hash = (hash ^ (b & 0xff)) * 0x100000001b3L;
        }
        return mix(seed ^ mix(hash));
    }

    /** SplitMix64's finalizer: ids that differ in one character get seeds that differ everywhere. */
    private static long mix(long z) {
        long a = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
        long b = (a ^ (a >>> 27)) * 0x94d049bb133111ebL;
        return b ^ (b >>> 31);
    }
}
