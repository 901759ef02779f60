package dev.nosa.engine;

import dev.nosa.tokenizer.TokenDecoder;
import java.util.List;

/** The text of one generation as its tokens arrive, cut before the first stop string. Owned by the engine thread. */
final class OutputText {
    private final TokenDecoder decoder;
    private final List<String> stopStrings;
    private final int longestStop;
    private final StringBuilder text = new StringBuilder();
    private boolean stopped;

    OutputText(TokenDecoder decoder, List<String> stopStrings) {
        this.decoder = decoder;
        this.stopStrings = stopStrings;
        longestStop = stopStrings.stream().mapToInt(String::length).max().orElse(0);
    }

    /** Adds a token's text and says whether a stop string ended the text, which then grows no more. */
    boolean append(int token) {
        return add(decoder.append(token));
    }

    /** Adds what the decoder held back, and says whether a stop string has ended the text. */
    boolean finish() {
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
