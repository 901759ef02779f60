package dev.nosa.engine;

import dev.nosa.tokenizer.TokenDecoder;
import dev.nosa.tokenizer.Tokenizer;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Ids 40 to 295 are the bytes of UTF-8, 296 is the text {@code ab}, the others are special: no text. */
final class ByteTokenizer implements Tokenizer {
    static final int FIRST_BYTE = 40;
    static final int AB = 296;
    /** A decoder that gets it fails. */
    static final int UNDECODABLE = 297;

    private volatile boolean closed;

    boolean isClosed() {
        return closed;
    }

    @Override
    public int[] encode(String text, boolean addSpecialTokens) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        int[] tokens = new int[bytes.length];
        Arrays.setAll(tokens, i -> FIRST_BYTE + Byte.toUnsignedInt(bytes[i]));
        return tokens;
    }

    @Override
    public String decode(int[] tokens) {
        TokenDecoder decoder = newDecoder();
        StringBuilder text = new StringBuilder();
        for (int token : tokens) {
            text.append(decoder.append(token));
        }
        return text + decoder.finish();
    }

    @Override
    public int vocabSize() {
        return FakeRunner.VOCAB;
    }

    @Override
    public TokenDecoder newDecoder() {
        return new Decoder();
    }

    @Override
    public void close() {
        closed = true;
    }

    /** Holds bytes back until the last begun character is whole. */
    private static final class Decoder implements TokenDecoder {
        private final ByteArrayOutputStream held = new ByteArrayOutputStream();
        private int missing;

        @Override
        public String append(int token) {
            if (token == UNDECODABLE) {
                throw new IllegalArgumentException("no such piece");
            }
            if (token == AB) {
                return finish() + "ab";
            }
            int value = token - FIRST_BYTE;
            if (value < 0 || value > 255) {
                return "";
            }
            held.write(value);
            if (value >= 0xC0) {
                missing = value >= 0xF0 ? 3 : value >= 0xE0 ? 2 : 1;
            } else if (missing > 0) {
                missing--;
            }
            return missing > 0 ? "" : finish();
        }

        @Override
        public String finish() {
            String text = held.toString(StandardCharsets.UTF_8);
            held.reset();
            missing = 0;
            return text;
        }
    }
}
