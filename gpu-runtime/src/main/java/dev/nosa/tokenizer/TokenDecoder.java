package dev.nosa.tokenizer;

/** Text of one growing sequence; holds back bytes that do not yet make a whole character. Not thread-safe. */
public interface TokenDecoder {
    /** Adds a token and returns the text that is complete with it, often empty. */
    String append(int token);

    /** What is still held back, undecodable bytes as U+FFFD; the sequence is over. */
    String finish();
}
