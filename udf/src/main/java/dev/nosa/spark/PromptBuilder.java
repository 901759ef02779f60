package dev.nosa.spark;

import dev.nosa.spark.metrics.ErrorClass;
import dev.nosa.tokenizer.ChatMessage;
import dev.nosa.tokenizer.ChatTemplate;
import dev.nosa.tokenizer.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/** A row's prompt as tokens: template, chat template, tokenizer, length policy. Used by one thread. */
final class PromptBuilder {
    private static final char REPLACEMENT = '\uFFFD';

    private final TransformOptions options;
    private final Tokenizer tokenizer;
    private final Optional<ChatTemplate> chat;
    private final int maxTokens;

    /**
     * @param maxTokens prompt and output together, at most
     */
    PromptBuilder(TransformOptions options, Tokenizer tokenizer, Optional<ChatTemplate> chat, int maxTokens) {
        this.options = options;
        this.tokenizer = tokenizer;
        this.chat = options.useChatTemplate() ? chat : Optional.empty();
        this.maxTokens = maxTokens;
    }

    /** A prompt that fits, and whether its document was cut for that. */
    record Prompt(int[] tokens, boolean truncated) {}

    /** A row that gets no prompt; the message goes into its error column. */
    static final class RowException extends Exception {
        private static final long serialVersionUID = 1L;

        private final ErrorClass kind;

        RowException(String message) {
            this(ErrorClass.INPUT, message);
        }

        RowException(ErrorClass kind, String message) {
            super(message);
            this.kind = kind;
        }

        ErrorClass kind() {
            return kind;
        }
    }

    /**
     * Builds one row's prompt.
     *
     * @param column value of a column, null where it is null
     * @param reserved tokens that must be left for the output
     */
    Prompt build(Function<String, String> column, int reserved) throws RowException {
        String text = column.apply(options.textColumn());
        if (text == null || text.isBlank()) {
            throw new RowException("column '" + options.textColumn() + "' is " + (text == null ? "null" : "empty"));
        }
        for (String name : options.template().columns()) {
            if (column.apply(name) == null) {
                throw new RowException("column '" + name + "' is null, which the prompt refers to");
            }
        }
        int limit = maxTokens - reserved;
        int[] tokens = encode(column, text);
        if (tokens.length <= limit) {
            return new Prompt(tokens, false);
        }
        String tooLong = "the prompt has " + tokens.length + " tokens, but the limit is " + limit + ": " + maxTokens
                + " less " + reserved + " for the output";
        if (options.onTooLong() == OnTooLong.ERROR) {
            throw new RowException(ErrorClass.TOO_LONG, tooLong + " (--on-too-long, --max-new-tokens, --max-context)");
        }
        return new Prompt(cut(column, text, tokens.length - limit, limit, tooLong), true);
    }

    /** What is left of the document may tokenize differently once it is text again: cut until it fits. */
    private int[] cut(Function<String, String> column, String text, int excess, int limit, String tooLong)
            throws RowException {
        int[] document = tokenizer.encode(text, false);
        int references = options.template().references(options.textColumn());
        int kept = document.length - ceilDiv(excess, references);
        while (kept > 0) {
            String shortened = shorten(document, kept);
            if (shortened.isBlank()) {
                break;
            }
            int[] tokens = encode(column, shortened);
            if (tokens.length <= limit) {
                return tokens;
            }
            kept -= ceilDiv(tokens.length - limit, references);
        }
        throw new RowException(
                ErrorClass.TOO_LONG, tooLong + ", and no part of the document fits beside the rest of the prompt");
    }

    /** The text of {@code kept} of the document's tokens; a character cut in two is dropped whole. */
    private String shorten(int[] document, int kept) {
        return switch (options.onTooLong()) {
            case ERROR -> throw new IllegalStateException("on-too-long = error cuts nothing");
            case TRUNCATE_HEAD -> end(document, kept);
            case TRUNCATE_TAIL -> beginning(document, kept);
            case TRUNCATE_MIDDLE -> beginning(document, kept - kept / 2) + end(document, kept / 2);
        };
    }

    /** The decoder makes replacement characters of a character that lost its last bytes. */
    private String beginning(int[] document, int kept) {
        String text = tokenizer.decode(Arrays.copyOf(document, kept));
        int end = text.length();
        while (end > 0 && text.charAt(end - 1) == REPLACEMENT) {
            end--;
        }
        return text.substring(0, end);
    }

    private String end(int[] document, int kept) {
        String text = tokenizer.decode(Arrays.copyOfRange(document, document.length - kept, document.length));
        int start = 0;
        while (start < text.length() && text.charAt(start) == REPLACEMENT) {
            start++;
        }
        return text.substring(start);
    }

    private int[] encode(Function<String, String> column, String text) {
        String prompt =
                options.template().render(name -> name.equals(options.textColumn()) ? text : column.apply(name));
        if (chat.isEmpty()) {
            return tokenizer.encode(options.system() == null ? prompt : options.system() + "\n\n" + prompt, true);
        }
        List<ChatMessage> messages = new ArrayList<>();
        if (options.system() != null) {
            messages.add(new ChatMessage("system", options.system()));
        }
        messages.add(new ChatMessage("user", prompt));
        return tokenizer.encode(chat.get().render(messages, true), false); // the template writes the special tokens
    }

    private static int ceilDiv(int a, int b) {
        return (a + b - 1) / b;
    }
}
