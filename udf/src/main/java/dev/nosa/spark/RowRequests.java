package dev.nosa.spark;

import dev.nosa.arrow.ResultRow;
import dev.nosa.engine.FinishReason;
import dev.nosa.engine.InferenceEngine;
import dev.nosa.engine.RequestHandle;
import dev.nosa.engine.ScoringRequest;
import dev.nosa.engine.ScoringResult;
import dev.nosa.spark.metrics.ErrorClass;
import dev.nosa.tokenizer.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import org.apache.spark.sql.Row;

/** Makes an engine request of a row, and a result row of its result. Used by one thread. */
final class RowRequests {
    private final TransformOptions options;
    private final PromptBuilder prompts;
    private final RowGenerations generations;
    private final Tokenizer tokenizer;

    RowRequests(TransformOptions options, PromptBuilder prompts, Tokenizer tokenizer) {
        this.options = options;
        this.prompts = prompts;
        generations = new RowGenerations(options, prompts);
        this.tokenizer = tokenizer;
    }

    /**
     * One prompt of a row on its way.
     *
     * @param prompt its index
     * @param handle null if it never was in the engine
     * @param kind of the error for which it never was, or null
     */
    record Submitted(int prompt, RequestHandle<?> handle, CompletableFuture<ResultRow> row, ErrorClass kind) {
        Submitted(int prompt, RequestHandle<?> handle, CompletableFuture<ResultRow> row) {
            this(prompt, handle, row, null);
        }

        static Submitted failed(int prompt, String id, ErrorClass kind, String error) {
            ResultRow row = ResultRow.failed(id, error);
            return new Submitted(prompt, null, CompletableFuture.completedFuture(row), kind);
        }
    }

    String id(Row row) {
        Object id = row.getAs(options.idColumn());
        return id == null ? null : id.toString();
    }

    /** One for each prompt, whatever becomes of it. */
    List<Submitted> submit(Row row, InferenceEngine engine) throws InterruptedException {
        try {
            return submitValid(row, engine);
        } catch (PromptBuilder.RowException e) {
            List<Submitted> failed = new ArrayList<>();
            for (int i = 0; i < options.prompts().count(); i++) {
                failed.add(Submitted.failed(i, id(row), e.kind(), e.getMessage()));
            }
            return failed;
        }
    }

    private List<Submitted> submitValid(Row row, InferenceEngine engine)
            throws PromptBuilder.RowException, InterruptedException {
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
        return options.generates()
                ? generations.submit(
                        id(row), prompts.buildAll(column, options.generation().maxNewTokens()), engine)
                : List.of(score(row, column, engine));
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
        return new Submitted(0, handle, handle.result().thenApply(result -> scored(result, texts, prompt.truncated())));
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
                RowGenerations.status(result.finishReason(), truncated),
                result.error(),
                result.finishReason().columnValue(),
                result.usage());
    }
}
