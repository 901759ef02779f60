package dev.nosa.spark;

import dev.nosa.tokenizer.TokenDecoder;
import dev.nosa.tokenizer.Tokenizer;
import java.nio.charset.StandardCharsets;

/** One token a UTF-8 byte, and one at the beginning: every cut between tokens can split a character. */
class ByteTokenizer implements Tokenizer {
    static final int BEGIN = 256;

    @Override
    public int[] encode(String text, boolean addSpecialTokens) {
        byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
        int first = addSpecialTokens ? 1 : 0;
        int[] tokens = new int[utf8.length + first];
        for (int i = 0; i < utf8.length; i++) {
            tokens[first + i] = utf8[i] & 0xff;
        }
        if (addSpecialTokens) {
            tokens[0] = BEGIN;
        }
        return tokens;
    }

    @Override
    public String decode(int[] tokens) {
        byte[] utf8 = new byte[tokens.length];
        int length = 0;
        for (int token : tokens) {
            if (token != BEGIN) {
                utf8[length++] = (byte) token;
            }
        }
        return new String(utf8, 0, length, StandardCharsets.UTF_8);
    }

    @Override
    public int vocabSize() {
        return BEGIN + 1;
    }

    @Override
    public TokenDecoder newDecoder() {
        throw new UnsupportedOperationException("no text is generated token by token here");
    }

    @Override
    public void close() {}
}
