package dev.nosa.tokenizer;

import ai.djl.engine.EngineException;
import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import dev.nosa.checkpoint.CheckpointException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;

/**
 * Hugging Face's tokenizers library over {@code tokenizer.json}, through DJL's native binding. Safe from any thread.
 *
 * <p>The binding is called below DJL's own tokenizer class, which asks a cloud metadata service for telemetry when it is
 * created, truncates at 512 tokens by default, and copies seven arrays besides the ids out of every encoding.
 *
 * <p>DJL unpacks its native library from the class path into {@code ~/.djl.ai} ({@code DJL_CACHE_DIR}). On a machine with
 * a GPU it would download a CUDA build unless {@code RUST_FLAVOR} says {@code cpu}, as an environment variable or system
 * property; there is no other way to tell it. So the property is set here before the library loads, unless the user has
 * set either.
 */
public final class HuggingFaceTokenizer implements Tokenizer {
    static final String FILE = "tokenizer.json";

    private static final String FLAVOR = "RUST_FLAVOR";

    private final TokenizersLibrary library = TokenizersLibrary.LIB;
    private final TokenizerVocabulary vocabulary;

    /** Readers use the native tokenizer; the writer frees it. */
    private final ReadWriteLock lock = new ReentrantReadWriteLock();

    private final long handle;
    private boolean closed;

    private HuggingFaceTokenizer(TokenizerVocabulary vocabulary, long handle) {
        this.vocabulary = vocabulary;
        this.handle = handle;
    }

    /** Loads {@code tokenizer.json}; a missing or corrupt one is a {@link CheckpointException} that names it. */
    public static HuggingFaceTokenizer load(Path dir) {
        Path file = dir.resolve(FILE);
        TokenizerVocabulary vocabulary = TokenizerVocabulary.read(file);
        loadLibrary();
        long handle = create(file);
        TokenizersLibrary.LIB.disableTruncation(handle);
        TokenizersLibrary.LIB.disablePadding(handle);
        return new HuggingFaceTokenizer(vocabulary, handle);
    }

    private static void loadLibrary() {
        if (System.getenv(FLAVOR) == null && System.getProperty(FLAVOR) == null) {
            System.setProperty(FLAVOR, "cpu");
        }
        try {
            LibUtils.checkStatus();
        } catch (EngineException e) {
            throw new IllegalStateException(
                    "the native tokenizer library cannot be loaded; it is unpacked below the home folder, or"
                            + " DJL_CACHE_DIR where that is set: it must be writable and allow executable files",
                    e);
        }
    }

    private static long create(Path file) {
        try {
            return TokenizersLibrary.LIB.createTokenizerFromString(Files.readString(file));
        } catch (IOException e) {
            throw new CheckpointException(file + ": cannot be read: " + e, e);
        } catch (RuntimeException e) {
            throw new CheckpointException(file + ": not a tokenizer: " + e.getMessage(), e);
        }
    }

    @Override
    public int[] encode(String text, boolean addSpecialTokens) {
        return whileOpen(() -> {
            long encoding = library.encode(handle, text, addSpecialTokens);
            try {
                return Arrays.stream(library.getTokenIds(encoding))
                        .mapToInt(Math::toIntExact)
                        .toArray();
            } finally {
                library.deleteEncoding(encoding);
            }
        });
    }

    @Override
    public String decode(int[] tokens) {
        long[] ids = Arrays.stream(tokens).asLongStream().toArray();
        return whileOpen(() -> library.decode(handle, ids, true));
    }

    @Override
    public int vocabSize() {
        return vocabulary.size();
    }

    @Override
    public TokenDecoder newDecoder() {
        return new StreamingDecoder(this::decode, vocabulary.specialIds());
    }

    @Override
    public void close() {
        lock.writeLock().lock();
        try {
            if (!closed) {
                closed = true;
                library.deleteTokenizer(handle);
            }
        } finally {
            lock.writeLock().unlock();
        }
    }

    private <T> T whileOpen(Supplier<T> call) {
        lock.readLock().lock();
        try {
            if (closed) {
                throw new IllegalStateException("the tokenizer is closed");
            }
            return call.get();
        } finally {
            lock.readLock().unlock();
        }
    }
}
