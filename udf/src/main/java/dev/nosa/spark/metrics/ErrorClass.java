package dev.nosa.spark.metrics;

import java.util.Locale;

/** Why a row or a task ended in an error, as metrics count it. */
public enum ErrorClass {
    /** Rows: no text, no id, or the source could not be parsed. */
    INPUT("rows without a usable text or id"),
    /** Rows: the prompt is longer than the model or an option allows. */
    TOO_LONG("rows whose prompt is too long"),
    /** Rows: the engine could not run the request. */
    REFUSED("rows that the engine ended with an error"),
    /** Requests that were given up with their task; another try of the task makes new ones. */
    CANCELLED("requests cancelled because their task ended"),
    /** Tasks that got no engine, because it could not be started. */
    START("tasks that failed because the engine could not be started"),
    /** Tasks whose engine failed. */
    ENGINE("tasks that failed because the engine had failed");

    private final String description;

    ErrorClass(String description) {
        this.description = description;
    }

    String metric() {
        return "errors_" + name().toLowerCase(Locale.ROOT);
    }

    String description() {
        return description;
    }
}
