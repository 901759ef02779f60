package dev.nosa.spark;

import dev.nosa.arrow.ResultRow;
import dev.nosa.backend.KvTraffic;
import dev.nosa.engine.Usage;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/**
 * The newest results of a task by their prompt's tokens, so that equal prompts are computed once. How many are kept changes
 * the time alone: a result depends on the prompt's tokens and the options. Used by one thread.
 */
final class KnownResults {
    private static final int MOST = 10_000;

    private final Map<ByteBuffer, CompletableFuture<ResultRow>> results = new LinkedHashMap<>();
    private final MessageDigest digest;

    KnownResults() {
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JVM has SHA-256", e);
        }
    }

    /** The result of equal tokens, there already or on its way; where there is none, the caller must complete {@code own}. */
    Optional<CompletableFuture<ResultRow>> find(int[] tokens, CompletableFuture<ResultRow> own) {
        ByteBuffer bytes = ByteBuffer.allocate(Math.multiplyExact(tokens.length, Integer.BYTES));
        bytes.asIntBuffer().put(tokens);
        ByteBuffer key = ByteBuffer.wrap(digest.digest(bytes.array()));
        CompletableFuture<ResultRow> known = results.putIfAbsent(key, own);
        if (results.size() > MOST) {
            results.remove(results.keySet().iterator().next());
        }
        return Optional.ofNullable(known);
    }

    /** {@code result} as that of row {@code id}, for which nothing was computed. */
    static ResultRow copy(ResultRow result, String id, boolean truncated) {
        Usage usage = result.usage();
        boolean failed = result.status().equals(ResultRow.ERROR);
        return new ResultRow(
                id,
                result.generation(),
                null,
                failed ? ResultRow.ERROR : truncated ? ResultRow.TRUNCATED : ResultRow.OK,
                result.error(),
                result.finishReason(),
                new Usage(
                        usage.promptTokens(),
                        usage.promptTokens(),
                        usage.outputTokens(),
                        0,
                        0,
                        0,
                        KvTraffic.NONE,
                        usage.finishedMillis()));
    }
}
