package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.engine.EngineConfig;
import dev.nosa.sample.SamplingParams;
import dev.nosa.tokenizer.ChatTemplate;
import dev.nosa.tokenizer.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Tokens are bytes here, and one begins the prompt. */
class PromptBuilderTest {
    private static final int OUTPUT = 10;

    private final Tokenizer tokenizer = new ByteTokenizer();
    private final Map<String, String> row = new HashMap<>();

    @Test
    void aPromptOfExactlyTheLimitIsWhole() throws Exception {
        row.put("text", "x".repeat(89));

        PromptBuilder.Prompt prompt = build("{text}", OnTooLong.ERROR, 100);

        assertThat(prompt.tokens()).hasSize(90);
        assertThat(prompt.truncated()).isFalse();
    }

    @Test
    void oneTokenMoreIsAnErrorWithTheTokensAndTheLimit() {
        row.put("text", "x".repeat(90));

        assertThatThrownBy(() -> build("{text}", OnTooLong.ERROR, 100))
                .isInstanceOf(PromptBuilder.RowException.class)
                .hasMessage("the prompt has 91 tokens, but the limit is 90: 100 less 10 for the output (--on-too-long,"
                        + " --max-new-tokens, --max-context)");
    }

    @Test
    void truncateHeadKeepsTheEndAndTheInstruction() throws Exception {
        row.put("text", "0123456789".repeat(10));

        assertThat(text("<{text}>", OnTooLong.TRUNCATE_HEAD, 50))
                .isEqualTo("<" + "3456789" + "0123456789".repeat(3) + ">");
    }

    @Test
    void truncateTailKeepsTheBeginningAndTheInstruction() throws Exception {
        row.put("text", "0123456789".repeat(10));

        assertThat(text("<{text}>", OnTooLong.TRUNCATE_TAIL, 50))
                .isEqualTo("<" + "0123456789".repeat(3) + "0123456" + ">");
    }

    @Test
    void truncateMiddleKeepsBothEnds() throws Exception {
        row.put("text", "a".repeat(50) + "b".repeat(50));

        assertThat(text("<{text}>", OnTooLong.TRUNCATE_MIDDLE, 50))
                .isEqualTo("<" + "a".repeat(19) + "b".repeat(18) + ">");
    }

    @Test
    void otherColumnsAreNotCut() throws Exception {
        row.put("text", "x".repeat(100));
        row.put("title", "a title of its own");

        assertThat(text("{title}: {text}", OnTooLong.TRUNCATE_TAIL, 60))
                .isEqualTo("a title of its own: " + "x".repeat(29));
    }

    @Test
    void aTextThatTheTemplateRepeatsIsNotCutTwiceAsFarAsNeeded() throws Exception {
        row.put("text", "x".repeat(100));

        assertThat(text("{text}|{text}", OnTooLong.TRUNCATE_TAIL, 112))
                .isEqualTo("x".repeat(50) + "|" + "x".repeat(50));
    }

    @ParameterizedTest
    @EnumSource(
            value = OnTooLong.class,
            names = {"TRUNCATE_HEAD", "TRUNCATE_TAIL", "TRUNCATE_MIDDLE"})
    void noCutSplitsACharacter(OnTooLong policy) throws Exception {
        String text = "a\u00e9\u4e2d\uD83D\uDE00".repeat(30);
        row.put("text", text);
        for (int maxTokens = 20; maxTokens < 120; maxTokens++) {
            PromptBuilder.Prompt prompt = build("{text}", policy, maxTokens);

            String kept = tokenizer.decode(prompt.tokens());
            assertThat(prompt.truncated()).isTrue();
            assertThat(prompt.tokens().length).isBetween(maxTokens - OUTPUT - 6, maxTokens - OUTPUT);
            assertThat(kept).doesNotContain("\uFFFD").isNotEmpty();
            if (policy == OnTooLong.TRUNCATE_TAIL) {
                assertThat(text).startsWith(kept);
            } else if (policy == OnTooLong.TRUNCATE_HEAD) {
                assertThat(text).endsWith(kept);
            }
        }
    }

    @Test
    void aTextOfReplacementCharactersAloneIsARowsErrorWhateverItsLength() {
        row.put("text", "\uFFFD".repeat(200_000));

        assertThatThrownBy(() -> build("{text}", OnTooLong.TRUNCATE_TAIL, 100))
                .isInstanceOf(PromptBuilder.RowException.class)
                .hasMessageContaining("no part of the document fits");
    }

    @Test
    void anInstructionThatFillsThePromptIsARowsError() {
        row.put("text", "some text");

        assertThatThrownBy(() -> build("i".repeat(100) + "{text}", OnTooLong.TRUNCATE_TAIL, 100))
                .isInstanceOf(PromptBuilder.RowException.class)
                .hasMessage("the prompt has 110 tokens, but the limit is 90: 100 less 10 for the output, and no part of"
                        + " the document fits beside the rest of the prompt");
    }

    @Test
    void aTextThatGrowsWhenItIsTokenizedAgainIsCutUntilItFits() throws Exception {
        Tokenizer growing = new GrowingTokenizer();
        row.put("text", "x".repeat(100));

        PromptBuilder.Prompt prompt =
                builder("{text}", OnTooLong.TRUNCATE_TAIL, growing, null, 50).build(row::get, OUTPUT);

        assertThat(prompt.tokens().length).isBetween(36, 40);
    }

    @Test
    void aSystemPromptStandsBeforeThePromptWhereThereIsNoChatTemplate() throws Exception {
        row.put("text", "question");

        PromptBuilder.Prompt prompt =
                builder("{text}?", OnTooLong.ERROR, tokenizer, "Be brief.", 100).build(row::get, OUTPUT);

        assertThat(tokenizer.decode(prompt.tokens())).isEqualTo("Be brief.\n\nquestion?");
        assertThat(prompt.tokens()[0]).isEqualTo(ByteTokenizer.BEGIN);
    }

    @Test
    void aCutTextGoesThroughTheChatTemplateAgain(@TempDir Path dir) throws Exception {
        Files.writeString(
                dir.resolve("chat_template.jinja"),
                "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]");
        row.put("text", "x".repeat(200));
        PromptBuilder builder = new PromptBuilder(
                options("Sum up: {text}", OnTooLong.TRUNCATE_TAIL, "Be brief."),
                tokenizer,
                ChatTemplate.load(dir),
                100);

        PromptBuilder.Prompt prompt = builder.build(row::get, OUTPUT);

        assertThat(tokenizer.decode(prompt.tokens()))
                .isEqualTo("[system]Be brief.[user]Sum up: " + "x".repeat(48) + "[assistant]");
        assertThat(prompt.tokens()).hasSize(90).doesNotContain(ByteTokenizer.BEGIN);
    }

    @Test
    void aNullTextIsARowsError() {
        assertThatThrownBy(() -> build("{text}", OnTooLong.ERROR, 100)).hasMessage("column 'text' is null");
    }

    @Test
    void aTextWithoutALetterIsARowsError() {
        row.put("text", " \n\t");

        assertThatThrownBy(() -> build("Summarize: {text}", OnTooLong.ERROR, 100))
                .hasMessage("column 'text' is empty");
    }

    @Test
    void aNullInAnotherColumnOfTheTemplateIsARowsError() {
        row.put("text", "text");

        assertThatThrownBy(() -> build("{title} {text}", OnTooLong.ERROR, 100))
                .hasMessage("column 'title' is null, which the prompt refers to");
    }

    @Test
    void aDocumentIsCutForAllPromptsAlike() throws Exception {
        row.put("text", "0123456789".repeat(10));
        row.put("title", null);

        List<PromptBuilder.Prompt> prompts = several(
                        OnTooLong.TRUNCATE_TAIL, "{text}?", "{text} longer?", "{text}{title}")
                .buildAll(row::get, OUTPUT);

        String kept = "0123456789".repeat(3) + "0";
        assertThat(tokenizer.decode(prompts.get(0).tokens())).isEqualTo(kept + "?");
        assertThat(tokenizer.decode(prompts.get(1).tokens())).isEqualTo(kept + " longer?");
        assertThat(prompts.get(1).tokens()).hasSize(40);
        assertThat(prompts.subList(0, 2)).allMatch(PromptBuilder.Prompt::truncated);
        assertThat(prompts.get(2).error()).isEqualTo("column 'title' is null, which the prompt refers to");
    }

    @Test
    void aPromptWithoutRoomForTheDocumentLeavesTheOthersWhole() throws Exception {
        row.put("text", "short");

        List<PromptBuilder.Prompt> prompts = several(OnTooLong.TRUNCATE_HEAD, "{text}?", "{text}" + "!".repeat(40))
                .buildAll(row::get, OUTPUT);

        assertThat(tokenizer.decode(prompts.get(0).tokens())).isEqualTo("short?");
        assertThat(prompts.get(0).truncated()).isFalse();
        assertThat(prompts.get(1).error()).contains("has 46 tokens", "no part of the document fits");
    }

    @Test
    void theHeadIsWhatStandsBeforeEveryColumnInEveryPrompt() {
        PromptBuilder builder = several(OnTooLong.ERROR, "Read {title}: {text}?", "Reading {text}");

        assertThat(tokenizer.decode(builder.head())).isEqualTo("Read");
        assertThat(tokenizer.decode(several(OnTooLong.ERROR, "{text} Why?").head()))
                .isEmpty();
    }

    private PromptBuilder several(OnTooLong policy, String... templates) {
        Map<String, String> named = new LinkedHashMap<>();
        for (String template : templates) {
            named.put("p" + named.size(), template);
        }
        return new PromptBuilder(options(Prompts.named(named), policy, null), tokenizer, Optional.empty(), 50);
    }

    /** As tokenizers may: a text that does not begin as the original did takes more tokens than it came from. */
    private static final class GrowingTokenizer extends ByteTokenizer {
        @Override
        public int[] encode(String text, boolean addSpecialTokens) {
            int[] tokens = super.encode(text, addSpecialTokens);
            return text.length() >= 100 ? tokens : Arrays.copyOf(tokens, tokens.length + tokens.length / 4);
        }
    }

    private String text(String template, OnTooLong policy, int maxTokens) throws Exception {
        PromptBuilder.Prompt prompt = build(template, policy, maxTokens);
        assertThat(prompt.truncated()).isTrue();
        assertThat(prompt.tokens().length).isLessThanOrEqualTo(maxTokens - OUTPUT);
        return tokenizer.decode(prompt.tokens());
    }

    private PromptBuilder.Prompt build(String template, OnTooLong policy, int maxTokens) throws Exception {
        return builder(template, policy, tokenizer, null, maxTokens).build(row::get, OUTPUT);
    }

    private static PromptBuilder builder(
            String template, OnTooLong policy, Tokenizer tokenizer, String system, int maxTokens) {
        return new PromptBuilder(options(template, policy, system), tokenizer, Optional.empty(), maxTokens);
    }

    private static TransformOptions options(String template, OnTooLong policy, String system) {
        return options(Prompts.single(PromptTemplate.parse(template)), policy, system);
    }

    private static TransformOptions options(Prompts prompts, OnTooLong policy, String system) {
        return new TransformOptions(
                EngineOptions.of(EngineConfig.builder(Path.of("model")).build()),
                prompts,
                system,
                "text",
                "id",
                null,
                List.of(),
                true,
                policy,
                new TransformOptions.Generation(OUTPUT, SamplingParams.GREEDY, List.of(), List.of()),
                null);
    }
}
