package dev.nosa.engine;

import dev.nosa.tokenizer.TokenDecoder;
import java.util.Arrays;
import java.util.List;

/**
 * The text of one generation as its tokens arrive, cut before the first stop string. Where nobody looks for one, tokens are decoded at
 * the end only, since every step waits for the engine thread. Owned by that thread.
 */
final class OutputText {
    private final TokenDecoder decoder;
    private final List<String> stopStrings;
    private final int longestStop;
    private final StringBuilder text = new StringBuilder();
    private int[] undecoded = new int[16];
    private int waiting;
    private boolean stopped;

    OutputText(TokenDecoder decoder, List<String> stopStrings) {
        this.decoder = decoder;
        this.stopStrings = stopStrings;
        longestStop = stopStrings.stream().mapToInt(String::length).max().orElse(0);
    }

    /** Adds a token's text and says whether a stop string ended the text, which then grows no more. */
    boolean append(int token) {
        if (!stopStrings.isEmpty()) {
            return add(decode(token));
        }
        if (waiting == undecoded.length) {
            undecoded = Arrays.copyOf(undecoded, 2 * waiting);
        }
        undecoded[waiting++] = token;
        return false;
    }

    private String decode(int token) {
        try {
            return decoder.append(token);
        } catch (RuntimeException e) {
            throw new IllegalStateException("the tokenizer cannot decode token id " + token + ": " + e, e);
        }
    }

    /** Adds what the decoder held back, and says whether a stop string has ended the text. */
    boolean finish() {
        for (int i = 0; i < waiting; i++) {
            text.append(decode(undecoded[i]));
        }
        waiting = 0;
        return stopped || add(decoder.finish());
    }

    @Override
    public String toString() {
        return text.toString();
    }

    private boolean add(String piece) {
        // A stop string may have begun in the text before this piece.
        int from = Math.max(0, text.length() - longestStop + 1);
        text.append(piece);
        int end = Integer.MAX_VALUE;
        for (String stop : stopStrings) {
            int at = text.indexOf(stop, from);
            end = at < 0 ? end : Math.min(end, at);
        }
        if (end < text.length()) {
            text.setLength(end);
            stopped = true;
        }
        return stopped;
    }
}
