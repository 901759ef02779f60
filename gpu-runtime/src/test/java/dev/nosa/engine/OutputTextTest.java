package dev.nosa.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class OutputTextTest {
    private final ByteTokenizer tokenizer = new ByteTokenizer();

    @Test
    void aStopStringIsFoundAcrossTokens() {
        OutputText text = text("END");
        assertThat(append(text, "some text E")).isFalse();
        assertThat(append(text, "N")).isFalse();
        assertThat(append(text, "D")).isTrue();
        assertThat(text).hasToString("some text ");
    }

    @Test
    void theFirstOfSeveralStopStringsEndsTheText() {
        OutputText text = text("b", "ab", "zz");
        assertThat(append(text, "x")).isFalse();
        assertThat(text.append(ByteTokenizer.AB)).isTrue();
        assertThat(text).hasToString("x");
    }

    @Test
    void textInsideAStopTokenIsKeptUpToTheString() {
        OutputText text = text("b");
        assertThat(text.append(ByteTokenizer.AB)).isTrue();
        assertThat(text).hasToString("a");
    }

    @Test
    void aCharacterInPiecesAppearsOnceItIsWhole() {
        OutputText text = text("\u20ac");
        int[] euro = tokenizer.encode("\u20ac", false);
        assertThat(text.append(euro[0])).isFalse();
        assertThat(text.append(euro[1])).isFalse();
        assertThat(text).hasToString("");
        assertThat(text.append(euro[2])).isTrue();
        assertThat(text).hasToString("");
    }

    @Test
    void heldBackBytesCountAtTheEnd() {
        OutputText text = text("\ufffd");
        append(text, "x");
        assertThat(text.append(tokenizer.encode("\u20ac", false)[0])).isFalse();
        assertThat(text.finish()).isTrue();
        assertThat(text).hasToString("x");
    }

    @Test
    void withoutStopStringsNothingStops() {
        OutputText text = text();
        assertThat(append(text, "any text")).isFalse();
        assertThat(text.finish()).isFalse();
        assertThat(text).hasToString("any text");
    }

    private OutputText text(String... stop) {
        return new OutputText(tokenizer.newDecoder(), List.of(stop));
    }

    private boolean append(OutputText text, String piece) {
        boolean stopped = false;
        for (int token : tokenizer.encode(piece, false)) {
            stopped = text.append(token);
        }
        return stopped;
    }
}
