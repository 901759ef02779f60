package dev.nosa.spark;

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
    private static final String REPLACEMENT = "\uFFFD";
    /** Rendering a shortened document again can take a few tokens more than were saved, so cutting may need repeats. */
    private static final int CUTS = 8;

    private final TransformOptions options;
    private final Tokenizer tokenizer;
    private final Optional<ChatTemplate> chat;

    PromptBuilder(TransformOptions options, Tokenizer tokenizer, Optional<ChatTemplate> chat) {
        this.options = options;
        this.tokenizer = tokenizer;
        this.chat = options.useChatTemplate() ? chat : Optional.empty();
    }

    /** A prompt that fits, and whether its document was cut for that. */
    record Prompt(int[] tokens, boolean truncated) {}

    /** A row that gets no prompt; the message goes into its error column. */
    static final class RowException extends Exception {
        private static final long serialVersionUID = 1L;

        RowException(String message) {
            super(message);
        }
    }

    /**
     * Builds one row's prompt.
     *
     * @param column value of a column, null where it is null
     * @param limit most tokens that the prompt may have
     */
    Prompt build(Function<String, String> column, int limit) throws RowException {
        String text = column.apply(options.textColumn());
        if (text == null || text.isBlank()) {
            throw new RowException("column '" + options.textColumn() + "' is " + (text == null ? "null" : "empty"));
        }
        for (String name : options.template().columns()) {
            if (column.apply(name) == null) {
                throw new RowException("column '" + name + "' is null, which the prompt refers to");
            }
        }
        int[] tokens = encode(column, text);
        if (tokens.length <= limit) {
            return new Prompt(tokens, false);
        }
        if (options.onTooLong() == OnTooLong.ERROR || limit < 1) {
            throw new RowException("the prompt has " + tokens.length + " tokens, of which " + Math.max(0, limit)
                    + " fit beside the output (--on-too-long, --max-new-tokens, --max-context)");
        }
        return cut(column, text, tokens.length - limit, limit);
    }

    private Prompt cut(Function<String, String> column, String text, int excess, int limit) throws RowException {
        int[] document = tokenizer.encode(text, false);
        int drop = excess;
        for (int i = 0; i < CUTS && drop < document.length; i++) {
            int[] tokens = encode(column, without(document, drop));
            if (tokens.length <= limit) {
                return new Prompt(tokens, true);
            }
            drop += tokens.length - limit;
        }
        throw new RowException("the prompt does not fit into " + limit
                + " tokens even without its document (--prompt, --max-new-tokens, --max-context)");
    }

    /** The document without {@code drop} of its tokens; a character cut in two is dropped whole. */
    private String without(int[] document, int drop) {
        int kept = document.length - drop;
        return switch (options.onTooLong()) {
            case TRUNCATE_HEAD -> trimStart(decode(document, drop, document.length));
            case TRUNCATE_TAIL -> trimEnd(decode(document, 0, kept));
            default ->
                trimEnd(decode(document, 0, kept - kept / 2))
                        + trimStart(decode(document, document.length - kept / 2, document.length));
        };
    }

    private String decode(int[] document, int from, int to) {
        return tokenizer.decode(Arrays.copyOfRange(document, from, to));
    }

    private static String trimStart(String text) {
        return text.startsWith(REPLACEMENT) ? trimStart(text.substring(1)) : text;
    }

    private static String trimEnd(String text) {
        return text.endsWith(REPLACEMENT) ? trimEnd(text.substring(0, text.length() - 1)) : text;
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
}
