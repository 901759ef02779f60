package dev.nosa.schedule;

import dev.nosa.cache.SequenceCache;
import java.util.Arrays;

/**
 * Tokens of one sequence and how many of them are computed: that one number tells prefill, chunked or not, from decode.
 * Owned by the engine thread.
 */
public final class Sequence {
    private final int start;
    private final int promptEnd;
    private final int maxTokens;
    /** Tokens from position {@code start} on. */
    private int[] tokens;

    private int length;
    private int computed;
    private SequenceCache cache;

    private Sequence(int start, int[] tokens, int maxTokens) {
        this.start = start;
        this.tokens = tokens;
        this.maxTokens = maxTokens;
        length = start + tokens.length;
        promptEnd = length;
        computed = start;
    }

    /**
     * A sequence that begins with {@code prompt}.
     *
     * @param maxTokens tokens that are computed at most, the prompt included
     */
    public static Sequence ofPrompt(int[] prompt, int maxTokens) {
        return new Sequence(0, prompt, maxTokens);
    }

    /** A fork that computes {@code tokens} after its parent's first {@code start}, which are in its cache. */
    public static Sequence ofFork(int start, int[] tokens, SequenceCache cache) {
        Sequence fork = new Sequence(start, tokens, cache.maxTokens());
        fork.cache = cache;
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
        return Arrays.copyOfRange(tokens, computed - start, computed - start + count);
    }

    /** All known tokens of a sequence that is no fork; only the first {@link #length} count. Not a copy. */
    public int[] history() {
        if (start != 0) {
            throw new IllegalStateException("a fork knows its tokens from position " + start + " on only");
        }
        return tokens;
    }

    /** Adds a sampled token. */
    public void append(int token) {
        if (length - start == tokens.length) {
            tokens = Arrays.copyOf(tokens, tokens.length + Math.max(16, tokens.length / 2));
        }
        tokens[length - start] = token;
        length++;
    }

    /** The sequence's memory; null before admission. */
    public SequenceCache cache() {
        return cache;
    }

    void admit(SequenceCache admitted) {
        cache = admitted;
    }

    void advance(int count) {
        computed += count;
    }
}
