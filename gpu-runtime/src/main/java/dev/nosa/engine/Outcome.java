package dev.nosa.engine;

/**
 * How a request ended.
 *
 * @param error null unless the reason is {@link FinishReason#ERROR}
 */
record Outcome(FinishReason reason, String error) {
    static final Outcome STOP = new Outcome(FinishReason.STOP, null);
    static final Outcome LENGTH = new Outcome(FinishReason.LENGTH, null);
    static final Outcome CANCELLED = new Outcome(FinishReason.CANCELLED, null);

    static Outcome error(String message) {
        return new Outcome(FinishReason.ERROR, message);
    }
}
