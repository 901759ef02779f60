package dev.nosa.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.testkit.TinyTokenizer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StreamingDecoderTest {
    private static final String[] PIECES = {
        "the ",
        "and on ",
        "é",
        "e\u0301",
        "中",
        "中中中",
        "中国語",
        "😀",
        "👩\u200D👩\u200D👧",
        "🇫🇷",
        "\n",
        "  ",
        "\uFFFD",
        "ع",
        "a"
    };

    @TempDir
    Path dir;

    private Tokenizer tokenizer;

    @BeforeEach
    void load() throws IOException {
        TinyTokenizer.write(dir);
        tokenizer = HuggingFaceTokenizer.load(dir);
    }

    @AfterEach
    void close() {
        tokenizer.close();
    }

    @Test
    void streamOfAnyTextIsTheText() {
        Random random = new Random(1);
        for (int run = 0; run < 100; run++) {
            StringBuilder text = new StringBuilder();
            for (int i = random.nextInt(40); i >= 0; i--) {
                text.append(PIECES[random.nextInt(PIECES.length)]);
            }
            int[] tokens = tokenizer.encode(text.toString(), true);

            assertThat(stream(tokens)).isEqualTo(text.toString());
        }
    }

    @Test
    void streamOfAnyTokensIsTheDecodingOfAll() {
        Random random = new Random(2);
        for (int run = 0; run < 300; run++) {
            int[] tokens =
                    random.ints(1 + random.nextInt(60), 0, TinyTokenizer.VOCAB).toArray();

            assertThat(stream(tokens)).isEqualTo(tokenizer.decode(tokens));
        }
    }

    /** Most random ids are ASCII; these are pieces of UTF-8, valid by chance alone. */
    @Test
    void streamOfAnyHighBytesIsTheDecodingOfAll() {
        int[] bytes = {0xE4, 0xB8, 0xAD, 0xF0, 0x9F, 0x98, 0x80, 0xC3, 0xA9, 0xFF, 'a'};
        Random random = new Random(3);
        for (int run = 0; run < 300; run++) {
            int[] tokens = random.ints(1 + random.nextInt(80), 0, bytes.length)
                    .map(i -> id(bytes[i]))
                    .toArray();

            assertThat(stream(tokens)).isEqualTo(tokenizer.decode(tokens));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"😀", "中", "é"})
    void aCharacterComesOutWithItsLastByte(String character) {
        TokenDecoder decoder = tokenizer.newDecoder();
        int[] tokens = byteTokens(character);

        for (int i = 0; i < tokens.length - 1; i++) {
            assertThat(decoder.append(tokens[i])).isEmpty();
        }

        assertThat(decoder.append(tokens[tokens.length - 1])).isEqualTo(character);
        assertThat(decoder.finish()).isEmpty();
    }

    @Test
    void noPieceEndsInHalfASurrogatePair() {
        TokenDecoder decoder = tokenizer.newDecoder();
        for (int token : byteTokens("😀 中 😀😀")) {
            String piece = decoder.append(token);

            assertThat(piece)
                    .isEqualTo(new String(piece.codePoints().toArray(), 0, piece.codePointCount(0, piece.length())));
            assertThat(piece.isEmpty() || !Character.isHighSurrogate(piece.charAt(piece.length() - 1)))
                    .isTrue();
        }
    }

    @Test
    void finishGivesAnUnfinishedCharacterAsReplacement() {
        TokenDecoder decoder = tokenizer.newDecoder();
        decoder.append(id('a'));
        decoder.append(id(0xF0));
        decoder.append(id(0x9F));

        assertThat(decoder.finish()).isEqualTo("\uFFFD");
    }

    @Test
    void invalidBytesDoNotStall() {
        TokenDecoder decoder = tokenizer.newDecoder();
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 100; i++) {
            text.append(decoder.append(id(0xFF)));
        }

        assertThat(text).hasSizeGreaterThan(90).containsOnlyOnce("\uFFFD".repeat(text.length()));
    }

    /** Every token but the first and last begins and ends inside a character, so none ends in a whole one. */
    @Test
    void tokensThatStraddleCharactersDoNotStall() {
        TokenDecoder decoder = tokenizer.newDecoder();
        StringBuilder text = new StringBuilder();
        text.append(decoder.append(id(0xE4))).append(decoder.append(id(0xB8)));
        for (int i = 0; i < 50; i++) {
            text.append(decoder.append(TinyTokenizer.STRADDLING)).append(decoder.append(id(0xB8)));
        }

        assertThat(text).hasSizeGreaterThan(45);
        text.append(decoder.append(id(0xAD))).append(decoder.finish());
        assertThat(text).hasToString("中".repeat(51));
    }

    @Test
    void specialTokensBetweenBytesDoNotCount() {
        TokenDecoder decoder = tokenizer.newDecoder();
        StringBuilder text = new StringBuilder();
        for (int token : byteTokens("中")) {
            text.append(decoder.append(token));
            for (int i = 0; i < 5; i++) {
                text.append(decoder.append(TinyTokenizer.EOS));
            }
        }

        assertThat(text).hasToString("中");
    }

    /** Llama 2's spelling: a run of byte tokens is valid as a whole or not at all. */
    @Test
    void byteFallbackOfManyCharactersInARow() {
        String text = "中国語".repeat(10);
        StreamingDecoder decoder = new StreamingDecoder(StreamingDecoderTest::byteFallback, Set.of());
        StringBuilder streamed = new StringBuilder();
        for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
            streamed.append(decoder.append(b & 0xFF));
        }

        assertThat(streamed.append(decoder.finish())).hasToString(text);
    }

    private static String byteFallback(int[] run) {
        byte[] bytes = new byte[run.length];
        for (int i = 0; i < run.length; i++) {
            bytes[i] = (byte) run[i];
        }
        String text = new String(bytes, StandardCharsets.UTF_8);
        return text.indexOf('\uFFFD') < 0 ? text : "\uFFFD".repeat(run.length);
    }

    /** Llama 2's spelling again: the first piece of a decoded window loses its leading space. */
    @Test
    void leadingSpaceThatDependsOnTheTokensBefore() {
        String[] pieces = {" Hello", " world", "s", " and", " more", " "};
        StreamingDecoder decoder = new StreamingDecoder(
                ids -> Arrays.stream(ids)
                        .mapToObj(id -> pieces[id])
                        .reduce("", String::concat)
                        .replaceFirst("^ ", ""),
                Set.of());
        StringBuilder streamed = new StringBuilder();
        StringBuilder expected = new StringBuilder();
        for (int i = 0; i < 100; i++) {
            streamed.append(decoder.append(i % pieces.length));
            expected.append(pieces[i % pieces.length]);
        }

        assertThat(streamed.append(decoder.finish())).hasToString(expected.substring(1));
    }

    private String stream(int[] tokens) {
        TokenDecoder decoder = tokenizer.newDecoder();
        StringBuilder text = new StringBuilder();
        for (int token : tokens) {
            text.append(decoder.append(token));
        }
        return text.append(decoder.finish()).toString();
    }

    private static int[] byteTokens(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        int[] tokens = new int[bytes.length];
        for (int i = 0; i < bytes.length; i++) {
            tokens[i] = id(bytes[i] & 0xFF);
        }
        return tokens;
    }

    private static int id(int b) {
        return TinyTokenizer.FIRST_BYTE + b;
    }
}
