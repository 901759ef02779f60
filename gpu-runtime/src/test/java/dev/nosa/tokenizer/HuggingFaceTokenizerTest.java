package dev.nosa.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.nosa.checkpoint.CheckpointException;
import dev.nosa.testkit.TinyTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HuggingFaceTokenizerTest {
    @TempDir
    Path dir;

    @BeforeEach
    void writeTokenizer() throws IOException {
        TinyTokenizer.write(dir);
    }

    @Test
    void encodesByItsMerges() {
        try (Tokenizer tokenizer = HuggingFaceTokenizer.load(dir)) {
            int[] ids = tokenizer.encode("a the", false);

            // "a", then " t" + "he"
            assertThat(ids).containsExactly(TinyTokenizer.FIRST_BYTE + 'a', TinyTokenizer.FIRST_BYTE + 256 + 2);
        }
    }

    @Test
    void addsSpecialTokensOnRequest() {
        try (Tokenizer tokenizer = HuggingFaceTokenizer.load(dir)) {
            assertThat(tokenizer.encode("x", true)).containsExactly(TinyTokenizer.BOS, TinyTokenizer.FIRST_BYTE + 'x');
        }
    }

    @Test
    void recognizesSpecialTokensInText() {
        try (Tokenizer tokenizer = HuggingFaceTokenizer.load(dir)) {
            assertThat(tokenizer.encode("x</s>", false))
                    .containsExactly(TinyTokenizer.FIRST_BYTE + 'x', TinyTokenizer.EOS);
        }
    }

    @Test
    void decodeLeavesSpecialTokensOut() {
        try (Tokenizer tokenizer = HuggingFaceTokenizer.load(dir)) {
            assertThat(tokenizer.decode(tokenizer.encode("Ünïcode 中文 😀", true)))
                    .isEqualTo("Ünïcode 中文 😀");
        }
    }

    @Test
    void longTextIsNotTruncated() {
        try (Tokenizer tokenizer = HuggingFaceTokenizer.load(dir)) {
            assertThat(tokenizer.encode("z".repeat(100_000), false)).hasSize(100_000);
        }
    }

    @Test
    void truncationAndPaddingOfTheFileAreIgnored() throws IOException {
        ObjectNode json = TinyTokenizer.json();
        json.putObject("truncation")
                .put("direction", "Right")
                .put("max_length", 4)
                .put("strategy", "LongestFirst")
                .put("stride", 0);
        ObjectNode padding = json.putObject("padding");
        padding.putObject("strategy").put("Fixed", 8);
        padding.put("direction", "Right").putNull("pad_to_multiple_of");
        padding.put("pad_id", 0).put("pad_type_id", 0).put("pad_token", "<s>");
        write(json.toString());

        try (Tokenizer tokenizer = HuggingFaceTokenizer.load(dir)) {
            assertThat(tokenizer.encode("zz", false)).hasSize(2);
            assertThat(tokenizer.encode("zzzzzz", false)).hasSize(6);
        }
    }

    @Test
    void vocabularyCountsAddedTokens() throws IOException {
        ObjectNode json = TinyTokenizer.json();
        ((ObjectNode) json.withArray("added_tokens").addObject().put("id", 299).put("content", "<|im_end|>"))
                .put("special", true)
                .put("single_word", false)
                .put("lstrip", false)
                .put("rstrip", false)
                .put("normalized", false);
        write(json.toString());

        try (HuggingFaceTokenizer tokenizer = HuggingFaceTokenizer.load(dir)) {
            assertThat(tokenizer.vocabSize()).isEqualTo(300);
        }
    }

    @Test
    void oddTextSurvives() {
        try (Tokenizer tokenizer = HuggingFaceTokenizer.load(dir)) {
            assertThat(tokenizer.encode("", false)).isEmpty();
            assertThat(tokenizer.decode(new int[0])).isEmpty();
            assertThat(tokenizer.decode(tokenizer.encode("a\0b", false))).isEqualTo("a\0b");
        }
    }

    @Test
    void halfASurrogatePairBecomesReplacementCharacters() {
        try (Tokenizer tokenizer = HuggingFaceTokenizer.load(dir)) {
            assertThat(tokenizer.decode(tokenizer.encode("a\uD83Db", false))).matches("a\uFFFD+b");
        }
    }

    @Test
    void acceptsAModelWithMoreRows() {
        try (HuggingFaceTokenizer tokenizer = HuggingFaceTokenizer.load(dir)) {
            tokenizer.checkFits(TinyTokenizer.VOCAB);
            tokenizer.checkFits(TinyTokenizer.VOCAB + 100);

            assertThat(tokenizer.vocabSize()).isEqualTo(TinyTokenizer.VOCAB);
        }
    }

    @Test
    void refusesAModelWithFewerRows() {
        try (HuggingFaceTokenizer tokenizer = HuggingFaceTokenizer.load(dir)) {
            assertThatThrownBy(() -> tokenizer.checkFits(100))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("tokenizer.json: has ids up to " + (TinyTokenizer.VOCAB - 1)
                            + ", but config.json says vocab_size = 100");
        }
    }

    @Test
    void missingFile() {
        assertThatThrownBy(() -> HuggingFaceTokenizer.load(dir.resolve("nowhere")))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("tokenizer.json: no such file");
    }

    @Test
    void truncatedFile() throws IOException {
        String json = TinyTokenizer.json().toString();
        write(json.substring(0, json.length() / 2));

        assertThatThrownBy(() -> HuggingFaceTokenizer.load(dir))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("tokenizer.json: not valid JSON");
    }

    @Test
    void jsonWithoutAVocabulary() throws IOException {
        write("{\"version\":\"1.0\"}");

        assertThatThrownBy(() -> HuggingFaceTokenizer.load(dir))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("tokenizer.json: not a tokenizer: model.vocab is missing");
    }

    @Test
    void tokenizerThatTheLibraryRefuses() throws IOException {
        ObjectNode json = TinyTokenizer.json();
        json.putObject("pre_tokenizer").put("type", "NoSuchType");
        write(json.toString());

        assertThatThrownBy(() -> HuggingFaceTokenizer.load(dir))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("tokenizer.json: not a tokenizer: ");
    }

    @Test
    void idThatIsNoInteger() throws IOException {
        ObjectNode json = TinyTokenizer.json();
        ((ObjectNode) json.path("model").path("vocab")).put("a", -1);
        write(json.toString());

        assertThatThrownBy(() -> HuggingFaceTokenizer.load(dir))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("tokenizer.json: not a tokenizer: -1 is no token id");
    }

    @Test
    void useAfterCloseIsRefused() {
        HuggingFaceTokenizer tokenizer = HuggingFaceTokenizer.load(dir);
        tokenizer.close();
        tokenizer.close();

        assertThatThrownBy(() -> tokenizer.encode("x", false))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("the tokenizer is closed");
    }

    @Test
    void tenThreadsEncodeTheSame() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(10);
        try (Tokenizer tokenizer = HuggingFaceTokenizer.load(dir)) {
            List<Future<String>> results = new ArrayList<>();
            for (int i = 0; i < 200; i++) {
                String text = "thread " + i + " and the 中文".repeat(20);
                results.add(threads.submit(() -> tokenizer.decode(tokenizer.encode(text, true))));
            }
            for (int i = 0; i < results.size(); i++) {
                assertThat(results.get(i).get()).isEqualTo("thread " + i + " and the 中文".repeat(20));
            }
        } finally {
            threads.shutdown();
        }
    }

    private void write(String json) throws IOException {
        Files.writeString(dir.resolve("tokenizer.json"), json);
    }
}
