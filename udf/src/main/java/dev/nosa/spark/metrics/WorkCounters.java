package dev.nosa.spark.metrics;

import dev.nosa.arrow.ResultRow;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;

/** What the tasks of an executor have done since its start, whatever became of its engine. Safe from any thread. */
public final class WorkCounters {
    private final LongAdder documents = new LongAdder();
    private final LongAdder promptTokens = new LongAdder();
    private final LongAdder outputTokens = new LongAdder();
    private final Map<ErrorClass, LongAdder> errors = new EnumMap<>(ErrorClass.class);

    public WorkCounters() {
        for (ErrorClass kind : ErrorClass.values()) {
            errors.put(kind, new LongAdder());
        }
    }

    /** A row that is done, with or without an error. */
    public void add(ResultRow row) {
        documents.increment();
        if (row.usage() != null) {
            promptTokens.add(row.usage().promptTokens());
            outputTokens.add(row.usage().outputTokens());
        }
    }

    public void add(ErrorClass kind, long count) {
        errors.get(kind).add(count);
    }

    long documents() {
        return documents.sum();
    }

    long promptTokens() {
        return promptTokens.sum();
    }

    long outputTokens() {
        return outputTokens.sum();
    }

    long errors(ErrorClass kind) {
        return errors.get(kind).sum();
    }
}
