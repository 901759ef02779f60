package dev.nosa.arrow;

import dev.nosa.engine.Usage;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.Float4Vector;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.complex.StructVector;
import org.apache.arrow.vector.types.pojo.Schema;

/**
 * Result rows as an Arrow record batch that is flushed by bytes, since a text vector ends at 2 GiB. Owned by one thread.
 */
public final class ResultBatch implements AutoCloseable {
    /** Bytes of text and log-probabilities after which a batch is full. */
    public static final long DEFAULT_FLUSH_BYTES = 8L << 20;

    private final VectorSchemaRoot root;
    private final long flushBytes;
    private long bytes;
    private int rows;

    /**
     * @param schema one of {@link ResultSchema}'s
     * @param flushBytes at least 1
     */
    public ResultBatch(Schema schema, BufferAllocator allocator, long flushBytes) {
        if (flushBytes < 1) {
            throw new IllegalArgumentException("flush bytes = " + flushBytes + ": must be 1 or more");
        }
        root = VectorSchemaRoot.create(schema, allocator);
        this.flushBytes = flushBytes;
    }

    public int rows() {
        return rows;
    }

    public boolean isFull() {
        return bytes >= flushBytes;
    }

    /** Appends a row; the batch may be full afterwards, and takes more all the same. */
    public void add(ResultRow row) {
        text(ResultSchema.ID, row.id());
        if (root.getVector(ResultSchema.GENERATION) != null) {
            text(ResultSchema.GENERATION, row.generation());
        } else {
            scores((ListVector) root.getVector(ResultSchema.SCORES), row.scores());
        }
        text(ResultSchema.STATUS, row.status());
        text(ResultSchema.ERROR, row.error());
        text(ResultSchema.FINISH_REASON, row.finishReason());
        usage(row.usage());
        rows++;
    }

    /** The rows so far; valid until {@link #clear}. */
    public VectorSchemaRoot flush() {
        root.setRowCount(rows);
        return root;
    }

    /** Starts an empty batch in the same memory. */
    public void clear() {
        root.clear();
        rows = 0;
        bytes = 0;
    }

    private void text(String column, String value) {
        text((VarCharVector) root.getVector(column), rows, value);
    }

    private void text(VarCharVector vector, int at, String value) {
        if (value == null) {
            vector.setNull(at);
            return;
        }
        byte[] utf8 = value.getBytes(StandardCharsets.UTF_8);
        vector.setSafe(at, utf8);
        bytes += utf8.length;
    }

    private void usage(Usage usage) {
        IntVector prompt = (IntVector) root.getVector(ResultSchema.PROMPT_TOKENS);
        IntVector output = (IntVector) root.getVector(ResultSchema.OUTPUT_TOKENS);
        StructVector struct = (StructVector) root.getVector(ResultSchema.USAGE);
        if (usage == null) {
            prompt.setNull(rows);
            output.setNull(rows);
            struct.setNull(rows);
            return;
        }
        prompt.setSafe(rows, usage.promptTokens());
        output.setSafe(rows, usage.outputTokens());
        struct.setIndexDefined(rows);
        child(struct, "queued_ms", Float8Vector.class).setSafe(rows, usage.queuedMillis());
        child(struct, "prefill_ms", Float8Vector.class).setSafe(rows, usage.prefillMillis());
        child(struct, "decode_ms", Float8Vector.class).setSafe(rows, usage.decodeMillis());
        child(struct, "blocks_selected", BigIntVector.class)
                .setSafe(rows, usage.traffic().selected());
        child(struct, "blocks_missed", BigIntVector.class)
                .setSafe(rows, usage.traffic().missed());
        child(struct, "shared_tokens", IntVector.class).setSafe(rows, usage.sharedTokens());
        child(struct, "finished_ms", BigIntVector.class).setSafe(rows, usage.finishedMillis());
    }

    private void scores(ListVector list, List<ResultRow.Scored> scores) {
        if (scores == null) {
            list.setNull(rows);
            return;
        }
        StructVector element = (StructVector) list.getDataVector();
        int at = list.startNewValue(rows);
        for (ResultRow.Scored scored : scores) {
            score(element, at++, scored);
        }
        list.endValue(rows, scores.size());
    }

    private void score(StructVector element, int at, ResultRow.Scored scored) {
        float[] logProbs = scored.score().logProbs();
        element.setIndexDefined(at);
        text(child(element, "continuation", VarCharVector.class), at, scored.continuation());
        child(element, "tokens", IntVector.class).setSafe(at, logProbs.length);
        child(element, "sum", Float8Vector.class).setSafe(at, scored.score().sum());
        child(element, "mean", Float8Vector.class).setSafe(at, scored.score().mean());
        ListVector list = child(element, "log_probs", ListVector.class);
        int first = list.startNewValue(at);
        Float4Vector values = (Float4Vector) list.getDataVector();
        for (int i = 0; i < logProbs.length; i++) {
            values.setSafe(first + i, logProbs[i]);
        }
        list.endValue(at, logProbs.length);
        bytes += (long) logProbs.length * Float.BYTES;
    }

    private static <T extends FieldVector> T child(StructVector struct, String name, Class<T> type) {
        return struct.getChild(name, type);
    }

    @Override
    public void close() {
        root.close();
    }
}
