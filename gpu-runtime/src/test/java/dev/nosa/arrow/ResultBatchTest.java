package dev.nosa.arrow;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.nosa.backend.KvTraffic;
import dev.nosa.engine.ScoringResult;
import dev.nosa.engine.Usage;
import java.util.List;
import java.util.Map;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.types.pojo.Field;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class ResultBatchTest {
    private static final Usage USAGE =
            new Usage(11, 3, 7, 0.5, 20.25, 300.125, new KvTraffic(60, 9, 0, 0), 1_790_000_000_123L);

    private final BufferAllocator allocator = new RootAllocator();

    /** Closing an allocator that still has memory out is an error that lists it. */
    @AfterEach
    void everyByteCameBack() {
        assertThat(allocator.getAllocatedMemory()).isZero();
        allocator.close();
    }

    @Test
    void columnsOfGeneratedRows() {
        assertThat(ResultSchema.GENERATION_ROWS.getFields().stream().map(Field::toString))
                .containsExactly(
                        "id: Utf8",
                        "generation: Utf8",
                        "status: Utf8",
                        "error: Utf8",
                        "finish_reason: Utf8",
                        "prompt_tokens: Int(32, true)",
                        "output_tokens: Int(32, true)",
                        "usage: Struct<queued_ms: FloatingPoint(DOUBLE), prefill_ms: FloatingPoint(DOUBLE), decode_ms:"
                                + " FloatingPoint(DOUBLE), blocks_selected: Int(64, true), blocks_missed: Int(64,"
                                + " true), shared_tokens: Int(32, true), finished_ms: Int(64, true)>");
    }

    @Test
    void scoredRowsHaveAnArrayInPlaceOfTheGeneration() {
        assertThat(ResultSchema.SCORING_ROWS.getFields().get(1))
                .hasToString("scores: List<element: Struct<continuation: Utf8, tokens: Int(32, true), sum:"
                        + " FloatingPoint(DOUBLE), mean: FloatingPoint(DOUBLE), log_probs: List<element:"
                        + " FloatingPoint(SINGLE)>>>");
    }

    @Test
    void keepsEveryValueOfAGeneratedRow() {
        try (ResultBatch batch = generations(1 << 20)) {
            batch.add(generated("a", "text"));

            VectorSchemaRoot root = batch.flush();

            assertThat(value(root, "id", 0)).hasToString("a");
            assertThat(value(root, "generation", 0)).hasToString("text");
            assertThat(value(root, "status", 0)).hasToString("ok");
            assertThat(value(root, "error", 0)).isNull();
            assertThat(value(root, "finish_reason", 0)).hasToString("stop");
            assertThat(value(root, "prompt_tokens", 0)).isEqualTo(11);
            assertThat(value(root, "output_tokens", 0)).isEqualTo(7);
            assertThat(value(root, "usage", 0))
                    .isEqualTo(Map.of(
                            "queued_ms",
                            0.5,
                            "prefill_ms",
                            20.25,
                            "decode_ms",
                            300.125,
                            "blocks_selected",
                            60L,
                            "blocks_missed",
                            9L,
                            "shared_tokens",
                            3,
                            "finished_ms",
                            1_790_000_000_123L));
        }
    }

    @Test
    void aFailedRowIsNullWhereThereIsNothing() {
        try (ResultBatch batch = generations(1 << 20)) {
            batch.add(ResultRow.failed(null, "no id"));
            batch.add(generated("b", "after the nulls"));

            VectorSchemaRoot root = batch.flush();

            assertThat(root.getRowCount()).isEqualTo(2);
            for (String column : List.of("id", "generation", "prompt_tokens", "output_tokens", "usage")) {
                assertThat(value(root, column, 0)).as(column).isNull();
            }
            assertThat(value(root, "status", 0)).hasToString("error");
            assertThat(value(root, "error", 0)).hasToString("no id");
            assertThat(value(root, "finish_reason", 0)).hasToString("error");
            assertThat(value(root, "generation", 1)).hasToString("after the nulls");
        }
    }

    @Test
    void textOfEveryPlaneComesBackAsItWas() {
        String text = "Grüße, \u4e2d\u6587, \uD83D\uDE00, \u0000, e\u0301";
        try (ResultBatch batch = generations(1 << 20)) {
            batch.add(generated("\uD83D\uDCDA", text));

            VectorSchemaRoot root = batch.flush();

            assertThat(value(root, "id", 0)).hasToString("\uD83D\uDCDA");
            assertThat(value(root, "generation", 0)).hasToString(text);
        }
    }

    @Test
    void scoresKeepTheirOrderAndTheirLogProbabilities() {
        try (ResultBatch batch = scores()) {
            batch.add(scored("a", scored(" yes", -0.5f, -0.25f), scored(" no", -3f)));
            batch.add(ResultRow.failed("b", "why"));
            batch.add(scored("c", scored(" maybe", -1f, -2f, -3f)));

            VectorSchemaRoot root = batch.flush();

            assertThat(value(root, "scores", 0))
                    .isEqualTo(List.of(
                            Map.of(
                                    "continuation",
                                    text(" yes"),
                                    "tokens",
                                    2,
                                    "sum",
                                    -0.75,
                                    "mean",
                                    -0.375,
                                    "log_probs",
                                    List.of(-0.5f, -0.25f)),
                            Map.of(
                                    "continuation",
                                    text(" no"),
                                    "tokens",
                                    1,
                                    "sum",
                                    -3.0,
                                    "mean",
                                    -3.0,
                                    "log_probs",
                                    List.of(-3f))));
            assertThat(value(root, "scores", 1)).isNull();
            assertThat(((List<?>) value(root, "scores", 2))).hasSize(1);
        }
    }

    @Test
    void isFullOnceItsBytesAreReached() {
        try (ResultBatch batch = generations(1000)) {
            batch.add(generated("a", "x".repeat(900)));
            assertThat(batch.isFull()).isFalse();

            batch.add(generated("b", "x".repeat(100)));
            assertThat(batch.isFull()).isTrue();
        }
    }

    @Test
    void bytesAreThoseOfUtf8() {
        try (ResultBatch batch = generations(1000)) {
            batch.add(generated("a", "\uD83D\uDE00".repeat(250)));

            assertThat(batch.isFull()).isTrue();
        }
    }

    @Test
    void logProbabilitiesCountAsBytesToo() {
        try (ResultBatch batch = new ResultBatch(ResultSchema.SCORING_ROWS, allocator, 4000)) {
            batch.add(scored("a", scored("x", new float[1000])));

            assertThat(batch.isFull()).isTrue();
        }
    }

    @Test
    void theCallerMayFlushABatchThatIsNotFull() {
        try (ResultBatch batch = generations(1 << 20)) {
            batch.add(generated("a", "one"));
            assertThat(batch.flush().getRowCount()).isEqualTo(1);
            batch.clear();

            batch.add(generated("b", "two"));
            batch.add(generated("c", "three"));

            VectorSchemaRoot root = batch.flush();
            assertThat(root.getRowCount()).isEqualTo(2);
            assertThat(value(root, "generation", 0)).hasToString("two");
            assertThat(value(root, "generation", 1)).hasToString("three");
        }
    }

    @Test
    void clearingEmptiesTheBytesToo() {
        try (ResultBatch batch = generations(1000)) {
            batch.add(generated("a", "x".repeat(2000)));
            batch.flush();
            batch.clear();

            assertThat(batch.isFull()).isFalse();
            assertThat(batch.rows()).isZero();
        }
    }

    @Test
    void growsBeyondTheVectorsFirstCapacity() {
        try (ResultBatch batch = scores()) {
            for (int i = 0; i < 10_000; i++) {
                batch.add(scored("id" + i, scored("x", -i), scored("y", -i, -i)));
            }

            VectorSchemaRoot root = batch.flush();

            assertThat(root.getRowCount()).isEqualTo(10_000);
            Map<?, ?> last = (Map<?, ?>) ((List<?>) value(root, "scores", 9_999)).get(1);
            assertThat((double) last.get("sum")).isCloseTo(-19_998, within(0.0));
            assertThat(last.get("log_probs")).isEqualTo(List.of(-9999f, -9999f));
        }
    }

    @Test
    void refusesABatchOfNoBytes() {
        assertThatThrownBy(() -> generations(0)).hasMessage("flush bytes = 0: must be 1 or more");
    }

    private ResultBatch generations(long flushBytes) {
        return new ResultBatch(ResultSchema.GENERATION_ROWS, allocator, flushBytes);
    }

    private ResultBatch scores() {
        return new ResultBatch(ResultSchema.SCORING_ROWS, allocator, 1 << 20);
    }

    private static ResultRow generated(String id, String text) {
        return new ResultRow(id, text, null, ResultRow.OK, null, "stop", USAGE);
    }

    private static ResultRow scored(String id, ResultRow.Scored... scores) {
        return new ResultRow(id, null, List.of(scores), ResultRow.OK, null, "stop", USAGE);
    }

    private static ResultRow.Scored scored(String continuation, float... logProbs) {
        return new ResultRow.Scored(continuation, new ScoringResult.Score(new int[logProbs.length], logProbs));
    }

    private static Object text(String value) {
        return new org.apache.arrow.vector.util.Text(value);
    }

    private static Object value(VectorSchemaRoot root, String column, int row) {
        return root.getVector(column).getObject(row);
    }
}
