package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.engine.EngineConfig;
import dev.nosa.engine.GenerationGroup;
import dev.nosa.engine.GenerationRequest;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Several prompts a row, through an engine that repeats its prompts. */
class NosaPromptsTest {
    private static final int MAX_POSITIONS = 200;

    private static volatile FakeEngine engine;

    private final Map<String, String> prompts = new LinkedHashMap<>();

    @BeforeEach
    void newEngine() {
        ExecutorEngine.close();
        engine = new FakeEngine(MAX_POSITIONS, true);
        prompts.put("sum", "{text} Sum up.");
        prompts.put("rank", "{text} Rank {rank}?");
    }

    @AfterEach
    void forgetEngine() {
        ExecutorEngine.close();
    }

    private static HostedModel start(EngineConfig config) {
        return engine.hosted();
    }

    private NosaGenerate.Builder generate() {
        return NosaGenerate.builder("model")
                .starter(NosaPromptsTest::start)
                .maxNewTokens(10)
                .prompts(prompts);
    }

    private static Map<String, Row> answers(Dataset<Row> output) {
        Map<String, Row> rows = new TreeMap<>();
        output.collectAsList().forEach(row -> rows.put(row.getAs("id") + "/" + row.getAs("prompt"), row));
        return rows;
    }

    private static Dataset<Row> documents(String... texts) {
        List<Row> rows = new java.util.ArrayList<>();
        for (int i = 0; i < texts.length; i++) {
            rows.add(RowFactory.create("d" + i, texts[i], i));
        }
        return LocalSpark.dataset(rows, 2);
    }

    @Test
    void thePromptsOfARowAreOneGroup() {
        Map<String, Row> rows = answers(generate().passThrough("text").build().transform(documents("one", "two")));
        assertThat(rows.keySet()).containsExactly("d0/rank", "d0/sum", "d1/rank", "d1/sum");
        assertThat(rows.get("d1/rank").<String>getAs("generation")).isEqualTo("two Rank 1?");
        assertThat(rows.get("d1/rank").schema().fieldNames()).startsWith("id", "prompt", "text", "generation");
        assertThat(engine.groups())
                .hasSize(2)
                .allMatch(group -> group.requests().size() == 2);
        assertThat(engine.groups().stream()
                        .flatMap(group -> group.requests().stream())
                        .map(request -> request.sampling().seed())
                        .distinct())
                .hasSize(4);
    }

    @Test
    void aRowThatFailsHasARowForEachPrompt() {
        prompts.put("rank", "{text} The rank is {rank}?");
        Map<String, Row> rows = answers(generate().build().transform(documents("one", null, "x".repeat(180))));
        assertThat(rows).hasSize(6);
        assertThat(rows.get("d1/sum").<String>getAs("error")).isEqualTo("column 'text' is null");
        assertThat(rows.get("d1/rank").<String>getAs("error")).isEqualTo("column 'text' is null");
        // Only one of the prompts is too long.
        assertThat(rows.get("d2/sum").<String>getAs("status")).isEqualTo("ok");
        assertThat(rows.get("d2/rank").<String>getAs("error")).startsWith("the prompt has 196 tokens");
    }

    @Test
    void promptsAsColumnsWaitForEachOther() {
        Dataset<Row> output =
                generate().promptColumns(true).passThrough("text").build().transform(documents("one", "REFUSE", null));
        assertThat(output.schema().fieldNames()).containsExactly("id", "text", "sum", "rank");
        Map<String, Row> rows = LocalSpark.byId(output);
        assertThat(rows).hasSize(3);
        assertThat(rows.get("d0").<Row>getAs("rank").<String>getAs("generation"))
                .isEqualTo("one Rank 0?");
        assertThat(rows.get("d1").<Row>getAs("sum").<String>getAs("error")).isEqualTo("refused");
        assertThat(rows.get("d2").<Row>getAs("sum").<String>getAs("status")).isEqualTo("error");
        assertThat(LocalSpark.byId(output.selectExpr("id", "sum.generation"))
                        .get("d0")
                        .getString(1))
                .isEqualTo("one Sum up.");
    }

    @Test
    void equalPromptsOfAPartitionAreComputedOnce() {
        prompts.put("again", "{text} Sum up.");
        Map<String, Row> rows = answers(generate()
                .dedupe(true)
                .temperature(1)
                .build()
                .transform(documents("same", "same", "other", "same").coalesce(1)));
        assertThat(rows).hasSize(12);
        assertThat(rows.get("d3/again").<String>getAs("generation")).isEqualTo("same Sum up.");
        // same: sum, and four ranks less the other's; other: sum and rank.
        assertThat(engine.requests()).hasSize(1 + 3 + 2);
        Row copy = rows.get("d3/again").getAs("usage");
        Row first = rows.get("d0/sum").getAs("usage");
        assertThat(List.of(copy.getInt(5), first.getInt(5))).contains(13);
    }

    @Test
    void theSeedOfADedupedPromptIsThatOfItsTokens() {
        answers(generate().dedupe(true).seed(3).build().transform(documents("some text")));
        GenerationRequest request = engine.groups().get(0).requests().get(0);
        assertThat(request.sampling().seed()).isEqualTo(RowSeed.of(3, request.prompt()));
        assertThat(RowSeed.of(3, new int[] {1, 2})).isNotEqualTo(RowSeed.of(3, new int[] {2, 1}));
    }

    @Test
    void whatStandsBeforeEveryDocumentIsTheHead() {
        prompts.put("sum", "Read this: {text} Sum up.");
        prompts.put("rank", "Read this: {text} Rank {rank}?");
        answers(generate().system("Be brief.").build().transform(documents("one", "two")));
        // Without a chat template the system message stands in front; one token begins the prompt.
        assertThat(engine.groups())
                .extracting(GenerationGroup::headTokens)
                .containsOnly(1 + "Be brief.\n\nRead this: ".length());
    }

    @Test
    void namedPromptsAreCheckedOneByOne() {
        prompts.put("bad", "{text} {rnak}");
        assertThatThrownBy(() -> generate().build().schema(LocalSpark.DOCUMENTS))
                .hasMessage("prompts: prompt 'bad': there is no column 'rnak'; the nearest is rank, the columns are id,"
                        + " text, rank");
        prompts.put("bad", "Nothing to read");
        assertThatThrownBy(() -> generate().build().schema(LocalSpark.DOCUMENTS))
                .hasMessage("prompts: prompt 'bad': must refer to the text column, {text}");
        prompts.put("bad", "{text");
        assertThatThrownBy(() -> generate().build())
                .hasMessage("prompts: prompt 'bad': '{' at character 1 is never closed; write {{ for a brace");
        prompts.put("bad", "{text}");
        prompts.put("Bad", "{text}");
        assertThatThrownBy(() -> generate().build()).hasMessage("prompts: the name 'Bad' occurs twice");
        prompts.clear();
        assertThatThrownBy(() -> generate().build()).hasMessage("prompts: there are none");
        prompts.put("a.b", "{text}");
        assertThatThrownBy(() -> generate().build())
                .hasMessage("prompts: the name 'a.b' must have letters, digits, _ and - alone");
    }

    @Test
    void optionsThatExcludeEachOtherAreErrors() {
        assertThatThrownBy(() -> generate().prompt("{text}").build())
                .hasMessage("prompts: give either one prompt or named ones, not both");
        assertThatThrownBy(
                        () -> NosaGenerate.builder("model").promptColumns(true).build())
                .hasMessage("prompt-columns = true: only named prompts can be columns");
        assertThatThrownBy(() -> generate()
                        .passThrough("rank")
                        .promptColumns(true)
                        .build()
                        .schema(LocalSpark.DOCUMENTS))
                .hasMessageContaining("pass-through = rank: the output has a column of that name");
    }
}
