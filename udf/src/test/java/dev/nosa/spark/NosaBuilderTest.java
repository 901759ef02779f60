package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.stream.Stream;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class NosaBuilderTest {
    private static final StructType INPUT = new StructType()
            .add("id", "string")
            .add("text", "string")
            .add("title", "string")
            .add("year", "int")
            .add("answers", DataTypes.createArrayType(DataTypes.StringType))
            .add("generation", "string");

    @ParameterizedTest
    @MethodSource
    void aWrongValueIsAnErrorThatNamesTheOption(NosaGenerate.Builder builder, String message) {
        assertThatThrownBy(builder::build)
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining(message);
    }

    static Stream<Arguments> aWrongValueIsAnErrorThatNamesTheOption() {
        return Stream.of(
                Arguments.of(generate().maxNewTokens(0), "max-new-tokens = 0: must be 1 or more"),
                Arguments.of(
                        generate().maxNewTokens(512).maxContext(512),
                        "max-new-tokens = 512: must be below max-context = 512"),
                Arguments.of(generate().temperature(-1), "temperature = -1.0: must be 0 or more"),
                Arguments.of(generate().topP(0), "top-p = 0.0"),
                Arguments.of(generate().topK(-1), "top-k = -1"),
                Arguments.of(generate().repetitionPenalty(0), "repetition-penalty = 0.0"),
                Arguments.of(generate().stop(""), "stop: an empty stop string"),
                Arguments.of(generate().prompt(""), "prompt: the template is empty"),
                Arguments.of(generate().textColumn(" "), "text-column is empty"),
                Arguments.of(generate().idColumn(""), "id-column is empty"),
                Arguments.of(generate().backend("gpu"), "backend = gpu: must be auto, cpu or cuda"),
                Arguments.of(generate().maxBatch(-1), "max-batch = -1"),
                Arguments.of(generate().maxStepTokens(100), "max-step-tokens = 100: must be a multiple of 64"),
                Arguments.of(generate().kvDtype("f16"), "kv-dtype = f16: must be f32 or bf16"));
    }

    @Test
    void scoringNeedsEitherTextsOrAColumn() {
        assertThatThrownBy(() -> score().build()).hasMessageContaining("continuations: give either the texts or");
        assertThatThrownBy(() -> score().continuations("a")
                        .continuationsColumn("answers")
                        .build())
                .hasMessageContaining("continuations: give either the texts or");
        assertThatThrownBy(() -> score().continuations("a", "").build()).hasMessageContaining("one is empty");
    }

    @Test
    void thePromptIsTheTextColumnAloneByDefault() {
        assertThat(generate().textColumn("title").build().schema(INPUT).fieldNames())
                .startsWith("id", "generation");
    }

    @Test
    void passThroughColumnsFollowTheId() {
        assertThat(generate().passThrough("year", "title").build().schema(INPUT).fieldNames())
                .containsExactly(
                        "id",
                        "year",
                        "title",
                        "generation",
                        "status",
                        "error",
                        "finish_reason",
                        "prompt_tokens",
                        "output_tokens",
                        "usage");
    }

    @Test
    void scoresAreAnArrayOfStructs() {
        assertThat(score().continuations("a")
                        .build()
                        .schema(INPUT)
                        .apply("scores")
                        .dataType()
                        .simpleString())
                .isEqualTo(
                        "array<struct<continuation:string,tokens:int,sum:double,mean:double,log_probs:array<float>>>");
    }

    @ParameterizedTest
    @MethodSource
    void aColumnThatIsNotThereIsAnErrorWithTheNearest(NosaGenerate generate, String message) {
        assertThatThrownBy(() -> generate.schema(INPUT))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage(message + "id, text, title, year, answers, generation");
    }

    static Stream<Arguments> aColumnThatIsNotThereIsAnErrorWithTheNearest() {
        return Stream.of(
                Arguments.of(
                        generate().textColumn("texts").build(),
                        "text-column: there is no column 'texts'; the nearest is text, the columns are "),
                Arguments.of(
                        generate().idColumn("ID").build(),
                        "id-column: there is no column 'ID'; the nearest is id, the columns are "),
                Arguments.of(
                        generate().prompt("{titel} {text}").build(),
                        "prompt: there is no column 'titel'; the nearest is title, the columns are "),
                Arguments.of(
                        generate().passThrough("yaer").build(),
                        "pass-through: there is no column 'yaer'; the nearest is year, the columns are "));
    }

    @ParameterizedTest
    @MethodSource
    void aPassThroughColumnMayNotHaveAnOutputsName(String[] columns, String name) {
        assertThatThrownBy(() -> generate().passThrough(columns).build().schema(INPUT.add("Usage", "int")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("pass-through = " + name + ": the output has a column of that name");
    }

    static Stream<Arguments> aPassThroughColumnMayNotHaveAnOutputsName() {
        return Stream.of(
                Arguments.of(new String[] {"generation"}, "generation"),
                Arguments.of(new String[] {"id"}, "id"),
                Arguments.of(new String[] {"Usage"}, "Usage"),
                Arguments.of(new String[] {"title", "title"}, "title"));
    }

    @Test
    void thePromptMustReferToTheText() {
        assertThatThrownBy(() -> generate().prompt("Summarize:").build().schema(INPUT))
                .hasMessageContaining("prompt: must refer to the text column, {text}");
        assertThatThrownBy(() ->
                        generate().prompt("{text}").textColumn("title").build().schema(INPUT))
                .hasMessageContaining("prompt: must refer to the text column, {title}");
    }

    @Test
    void theTextMustBeAString() {
        assertThatThrownBy(() -> generate().textColumn("year").build().schema(INPUT))
                .hasMessage("text-column: column 'year' is int; it must be a string");
    }

    @Test
    void otherColumnsOfThePromptMustConvertToAString() {
        assertThat(generate().prompt("{year}: {text}").build().schema(INPUT).fieldNames())
                .contains("status");
        assertThatThrownBy(() -> generate().prompt("{answers} {text}").build().schema(INPUT))
                .hasMessageContaining("prompt: column 'answers' is array<string>");
        assertThatThrownBy(() -> generate().idColumn("answers").build().schema(INPUT))
                .hasMessageContaining("id-column: column 'answers' is array<string>");
    }

    @Test
    void continuationsMustBeAnArrayOfStrings() {
        assertThat(score().continuationsColumn("answers").build().schema(INPUT).fieldNames())
                .contains("status");
        assertThatThrownBy(() -> score().continuationsColumn("title").build().schema(INPUT))
                .hasMessage("continuations-column = title: must be array<string>, is string");
    }

    @Test
    void anUnknownLengthPolicyIsAnErrorWithTheNearest() {
        assertThat(OnTooLong.parse("truncate-middle")).isEqualTo(OnTooLong.TRUNCATE_MIDDLE);
        assertThatThrownBy(() -> OnTooLong.parse("truncate-tial"))
                .hasMessage("on-too-long = truncate-tial: must be one of error, truncate-head, truncate-tail,"
                        + " truncate-middle; the nearest is truncate-tail");
    }

    @Test
    void aRowsSeedDependsOnTheRunsSeedAndTheIdAlone() {
        assertThat(RowSeed.of(1, "a", null)).isEqualTo(RowSeed.of(1, new String("a"), null));
        assertThat(Stream.of(
                                RowSeed.of(1, "a", null),
                                RowSeed.of(2, "a", null),
                                RowSeed.of(1, "b", null),
                                RowSeed.of(1, "", null),
                                RowSeed.of(2, "b", null),
                                RowSeed.of(2, "b", "c"),
                                RowSeed.of(2, "b", "d"))
                        .distinct())
                .hasSize(7);
    }

    private static NosaGenerate.Builder generate() {
        return NosaGenerate.builder("model");
    }

    private static NosaScore.Builder score() {
        return NosaScore.builder("model");
    }
}
