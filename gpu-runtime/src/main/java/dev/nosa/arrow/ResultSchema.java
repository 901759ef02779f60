package dev.nosa.arrow;

import java.util.List;
import java.util.stream.Stream;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.apache.arrow.vector.types.pojo.Schema;

/** Names and Arrow types of the output columns. */
public final class ResultSchema {
    public static final String ID = "id";
    public static final String GENERATION = "generation";
    public static final String SCORES = "scores";
    public static final String STATUS = "status";
    public static final String ERROR = "error";
    public static final String FINISH_REASON = "finish_reason";
    public static final String PROMPT_TOKENS = "prompt_tokens";
    public static final String OUTPUT_TOKENS = "output_tokens";
    public static final String USAGE = "usage";

    private static final ArrowType TEXT = new ArrowType.Utf8();
    private static final ArrowType INT = new ArrowType.Int(32, true);
    private static final ArrowType LONG = new ArrowType.Int(64, true);
    private static final ArrowType DOUBLE = new ArrowType.FloatingPoint(FloatingPointPrecision.DOUBLE);
    private static final ArrowType FLOAT = new ArrowType.FloatingPoint(FloatingPointPrecision.SINGLE);

    /** Rows of {@code generate}. */
    public static final Schema GENERATION_ROWS = schema(field(GENERATION, TEXT));

    /** Rows of {@code score}. */
    public static final Schema SCORING_ROWS = schema(list(
            SCORES,
            struct(
                    "element",
                    field("continuation", TEXT),
                    field("tokens", INT),
                    field("sum", DOUBLE),
                    field("mean", DOUBLE),
                    list("log_probs", field("element", FLOAT)))));

    private ResultSchema() {}

    private static Schema schema(Field result) {
        Field usage = struct(
                USAGE,
                field("queued_ms", DOUBLE),
                field("prefill_ms", DOUBLE),
                field("decode_ms", DOUBLE),
                field("blocks_selected", LONG),
                field("blocks_missed", LONG),
                field("shared_tokens", INT),
                field("finished_ms", LONG));
        return new Schema(List.of(
                field(ID, TEXT),
                result,
                field(STATUS, TEXT),
                field(ERROR, TEXT),
                field(FINISH_REASON, TEXT),
                field(PROMPT_TOKENS, INT),
                field(OUTPUT_TOKENS, INT),
                usage));
    }

    private static Field field(String name, ArrowType type) {
        return new Field(name, FieldType.nullable(type), null);
    }

    private static Field struct(String name, Field... children) {
        return new Field(
                name,
                FieldType.nullable(new ArrowType.Struct()),
                Stream.of(children).toList());
    }

    private static Field list(String name, Field element) {
        return new Field(name, FieldType.nullable(new ArrowType.List()), List.of(element));
    }
}
