package dev.nosa.tokenizer;

/** Text to token ids and back. Safe from any thread. */
public interface Tokenizer extends AutoCloseable {
    /** Token ids of {@code text}, whole: never truncated, never padded. */
    int[] encode(String text, boolean addSpecialTokens);

    /** Text of the ids, special tokens left out. */
    String decode(int[] tokens);

    /** Ids are below this, added tokens included. */
    int vocabSize();

    /** A decoder for one growing sequence. */
    TokenDecoder newDecoder();

    @Override
    void close();
}
