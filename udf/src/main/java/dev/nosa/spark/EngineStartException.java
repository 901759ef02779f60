package dev.nosa.spark;

/** An executor could not start its engine; the message names the executor, the cause says why. */
public final class EngineStartException extends IllegalStateException {
    private static final long serialVersionUID = 1L;

    EngineStartException(Throwable cause) {
        super("the engine of " + ExecutorPlace.here() + " could not be started: " + cause.getMessage(), cause);
    }
}
