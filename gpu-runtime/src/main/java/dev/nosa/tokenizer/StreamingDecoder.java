package dev.nosa.tokenizer;

import java.util.Arrays;
import java.util.Set;
import java.util.function.Function;

/**
 * Decodes a window of the last tokens at each step and gives out what its text has grown by. A token's text depends on
 * the tokens before it (a leading space, bytes of one character), so the window begins with tokens whose text is out
 * already; it is cut where a character ends, so a step costs the same however long the sequence is.
 *
 * <p>Text that ends in U+FFFD may end in half a character and is held back. Half a character has three bytes at most and
 * a token has at least one, so what three more tokens have not completed is invalid, and goes out as U+FFFD.
 */
final class StreamingDecoder implements TokenDecoder {
    private static final char REPLACEMENT = '\uFFFD';
    private static final int LONGEST_HALF_CHARACTER = 3;

    /** Tokens that the window may grow to, and those that a cut without a whole character leaves: 8 bytes or more. */
    private static final int MAX_WINDOW = 16;

    private static final int CUT_WINDOW = 8;

    private final Function<int[], String> decode;
    private final Set<Integer> specialIds;

    /** A full window waits for the rest of a character before it is cut. */
    private final int[] window = new int[MAX_WINDOW + LONGEST_HALF_CHARACTER + 1];

    private int length;

    /** Characters of the window's text that are out. */
    private int emitted;

    /** Where in the window the tokens of the last whole piece of text begin, and where they end. */
    private int wholeStart;

    private int wholeEnd;

    StreamingDecoder(Function<int[], String> decode, Set<Integer> specialIds) {
        this.decode = decode;
        this.specialIds = specialIds;
    }

    @Override
    public String append(int token) {
        if (specialIds.contains(token)) {
            return "";
        }
        window[length++] = token;
        String text = text();
        if (!isCut(text)) {
            wholeStart = wholeEnd;
            wholeEnd = length;
        } else if (length - wholeEnd <= LONGEST_HALF_CHARACTER) {
            return "";
        }
        String grown = emit(text, isCut(text) ? text.length() - 1 : text.length());
        if (length > MAX_WINDOW) {
            shrink(text.length() - emitted);
        }
        return grown;
    }

    @Override
    public String finish() {
        String text = text();
        String rest = emit(text, text.length());
        length = 0;
        emitted = 0;
        wholeStart = 0;
        wholeEnd = 0;
        return rest;
    }

    private String emit(String text, int stable) {
        if (stable <= emitted) {
            return "";
        }
        String grown = text.substring(emitted, stable);
        emitted = stable;
        return grown;
    }

    /** Cuts the window's begin off; the last {@code held} characters of its text stay held back. */
    private void shrink(int held) {
        // Bytes that have not made a whole character for this long are invalid: any cut will do.
        int start = wholeStart > 0 ? wholeStart : length - CUT_WINDOW;
        System.arraycopy(window, start, window, 0, length - start);
        length -= start;
        wholeStart = 0;
        wholeEnd = Math.max(0, wholeEnd - start);
        emitted = Math.max(0, text().length() - held);
    }

    private String text() {
        return decode.apply(Arrays.copyOf(window, length));
    }

    private static boolean isCut(String text) {
        return !text.isEmpty() && text.charAt(text.length() - 1) == REPLACEMENT;
    }
}
