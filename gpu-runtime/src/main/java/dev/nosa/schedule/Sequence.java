package dev.nosa.schedule;

import dev.nosa.cache.SequenceCache;
import java.util.Arrays;

/**
 * Tokens of one sequence and how many of them are computed: that one number tells prefill, chunked or not, from decode.
 * Owned by the engine thread.
 */
public final class Sequence {
    private final int promptEnd;
    private final int maxTokens;
    private int[] tokens;

    private int length;
    private int computed;
    private SequenceCache cache;

    private Sequence(int[] tokens, int maxTokens) {
        this.tokens = tokens;
        this.maxTokens = maxTokens;
        length = tokens.length;
        promptEnd = length;
    }

    /**
     * A sequence that begins with {@code prompt}.
     *
     * @param maxTokens tokens that are computed at most, the prompt included
     */
    public static Sequence ofPrompt(int[] prompt, int maxTokens) {
        return new Sequence(prompt, maxTokens);
    }

    /**
     * A fork of a sequence whose first {@code start} tokens are in {@code cache}.
     *
     * @param tokens all of the fork's, those of its parent included
     */
    public static Sequence ofFork(int start, int[] tokens, SequenceCache cache) {
        Sequence fork = new Sequence(tokens, cache.maxTokens());
        fork.admit(cache, start);
        return fork;
    }

    /** Tokens whose KV is in the cache. */
    public int computed() {
        return computed;
    }

    /** Known tokens: prompt and output. */
    public int length() {
        return length;
    }

    public int maxTokens() {
        return maxTokens;
    }

    /** Whether the prompt is computed, so that each step computes the one token that was sampled last. */
    public boolean isDecoding() {
        return computed >= promptEnd;
    }

    /** Tokens that are known and not yet computed. */
    public int remaining() {
        return length - computed;
    }

    /** A copy of the next {@code count} tokens to compute. */
    public int[] next(int count) {
        return Arrays.copyOfRange(tokens, computed, computed + count);
    }

    /** All known tokens; only the first {@link #length} count. Not a copy. */
    public int[] history() {
        return tokens;
    }

    /** Adds a sampled token. */
    public void append(int token) {
        if (length == tokens.length) {
            tokens = Arrays.copyOf(tokens, tokens.length + Math.max(16, tokens.length / 2));
        }
        tokens[length] = token;
        length++;
    }

    /** The sequence's memory; null before admission. */
    public SequenceCache cache() {
        return cache;
    }

    /** Gives it memory that holds its first {@code start} tokens already. */
    void admit(SequenceCache admitted, int start) {
        cache = admitted;
        computed = start;
    }

    void advance(int count) {
        computed += count;
    }
}
