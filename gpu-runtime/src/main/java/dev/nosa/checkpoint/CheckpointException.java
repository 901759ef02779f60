package dev.nosa.checkpoint;

/** A checkpoint that cannot be used; the message names the file, the tensor where there is one, and the remedy. */
public final class CheckpointException extends RuntimeException {
    public CheckpointException(String message) {
        super(message);
    }

    public CheckpointException(String message, Throwable cause) {
        super(message, cause);
    }
}
