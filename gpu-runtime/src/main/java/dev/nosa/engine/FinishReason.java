package dev.nosa.engine;

import java.util.Locale;

/** Why a generation ended. */
public enum FinishReason {
    /** An end token, a stop token id or a stop string. */
    STOP,
    /** {@code max_new_tokens} or the model's length. */
    LENGTH,
    CANCELLED,
    ERROR;

    /** The value in the output column {@code finish_reason}. */
    public String columnValue() {
        return name().toLowerCase(Locale.ROOT);
    }
}
