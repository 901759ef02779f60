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

    /** Texts that begin so differently that the token before them, which may hold a part of them, differs too. */
    private static final List<String> PROBES = List.of("a", "Z", "0", "\n", ".");

    private final TransformOptions options;
    private final Tokenizer tokenizer;
    private final Optional<ChatTemplate> chat;
    private final int maxTokens;
    private int[] head;

    /**
     * @param maxTokens prompt and output together, at most
     */
    PromptBuilder(TransformOptions options, Tokenizer tokenizer, Optional<ChatTemplate> chat, int maxTokens) {
        this.options = options;
        this.tokenizer = tokenizer;
        this.chat = options.useChatTemplate() ? chat : Optional.empty();
        this.maxTokens = maxTokens;
    }

    /**
     * A prompt that fits.
     *
     * @param tokens null if there is an error
     * @param truncated whether its document was cut for that
     * @param kind of the error, or null
     * @param error why there is none, or null
     */
    record Prompt(int[] tokens, boolean truncated, ErrorClass kind, String error) {
        static Prompt of(int[] tokens, boolean truncated) {
            return new Prompt(tokens, truncated, null, null);
        }

        static Prompt failed(ErrorClass kind, String error) {
            return new Prompt(null, false, kind, error);
        }
    }

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
     * Builds the prompt of a row that has one only.
     *
     * @param column value of a column, null where it is null
     * @param reserved tokens that must be left for the output
     */
    Prompt build(Function<String, String> column, int reserved) throws RowException {
        Prompt prompt = buildAll(column, reserved).get(0);
        if (prompt.error != null) {
            throw new RowException(prompt.kind, prompt.error);
        }
        return prompt;
    }

    /** Builds all prompts of a row, in order. A document that is too long for one of them is cut for all alike. */
    List<Prompt> buildAll(Function<String, String> column, int reserved) throws RowException {
        String text = column.apply(options.textColumn());
        if (text == null || text.isBlank()) {
            throw new RowException("column '" + options.textColumn() + "' is " + (text == null ? "null" : "empty"));
        }
        int limit = maxTokens - reserved;
        List<PromptTemplate> templates = new ArrayList<>();
        List<Prompt> prompts = new ArrayList<>();
        boolean tooLong = false;
        for (Prompts.Named named : options.prompts().all()) {
            Prompt prompt = whole(named.template(), column, text);
            prompts.add(prompt);
            templates.add(prompt.error == null ? named.template() : null);
            tooLong |= prompt.error == null && prompt.tokens.length > limit;
        }
        if (!tooLong) {
            return prompts;
        }
        Optional<String> cut = options.onTooLong() == OnTooLong.ERROR
                ? Optional.empty()
                : cut(templates, column, text, prompts, limit);
        for (int i = 0; i < prompts.size(); i++) {
            Prompt prompt = prompts.get(i);
            if (prompt.error == null && cut.isPresent()) {
                prompts.set(i, Prompt.of(encode(templates.get(i), column, cut.get()), true));
            } else if (prompt.error == null && prompt.tokens.length > limit) {
                prompts.set(i, Prompt.failed(ErrorClass.TOO_LONG, tooLong(prompt.tokens.length, limit, reserved)));
            }
        }
        return prompts;
    }

    private Prompt whole(PromptTemplate template, Function<String, String> column, String text) {
        for (String name : template.columns()) {
            if (column.apply(name) == null) {
                return Prompt.failed(ErrorClass.INPUT, "column '" + name + "' is null, which the prompt refers to");
            }
        }
        return Prompt.of(encode(template, column, text), false);
    }

    private String tooLong(int tokens, int limit, int reserved) {
        String tooLong = "the prompt has " + tokens + " tokens, but the limit is " + limit + ": " + maxTokens + " less "
                + reserved + " for the output";
        return options.onTooLong() == OnTooLong.ERROR
                ? tooLong + " (--on-too-long, --max-new-tokens, --max-context)"
                : tooLong + ", and no part of the document fits beside the rest of the prompt";
    }

    /**
     * The document's text so short that all prompts fit; empty if none is. What is left of it may tokenize differently once
     * it is text again: cut until it fits.
     */
    private Optional<String> cut(
            List<PromptTemplate> templates,
            Function<String, String> column,
            String text,
            List<Prompt> whole,
            int limit) {
        int[] document = tokenizer.encode(text, false);
        List<Integer> lengths = whole.stream()
                .map(prompt -> prompt.error == null ? prompt.tokens.length : 0)
                .toList();
        int kept = document.length;
        while (true) {
            kept -= excess(templates, lengths, limit);
            String shortened = kept > 0 ? shorten(document, kept) : "";
            if (shortened.isBlank()) {
                return Optional.empty();
            }
            lengths = templates.stream()
                    .map(template -> template == null ? 0 : encode(template, column, shortened).length)
                    .toList();
            if (excess(templates, lengths, limit) == 0) {
                return Optional.of(shortened);
            }
        }
    }

    /** Tokens of the document that are too many for the prompt that has least room for it. */
    private int excess(List<PromptTemplate> templates, List<Integer> lengths, int limit) {
        int excess = 0;
        for (int i = 0; i < templates.size(); i++) {
            if (lengths.get(i) > limit) {
                int references = templates.get(i).references(options.textColumn());
                excess = Math.max(excess, ceilDiv(lengths.get(i) - limit, references));
            }
        }
        return excess;
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

    /** Tokens that the prompts of every row begin with, whatever its columns hold: what stands before the document. */
    int[] head() {
        if (head == null) {
            for (Prompts.Named named : options.prompts().all()) {
                for (String value : PROBES) {
                    int[] tokens = encode(named.template(), name -> value, value);
                    int differs = head == null ? -1 : Arrays.mismatch(head, tokens);
                    head = head == null ? tokens : differs < 0 ? head : Arrays.copyOf(head, differs);
                }
            }
        }
        return head;
    }

    private int[] encode(PromptTemplate template, Function<String, String> column, String text) {
        String prompt = template.render(name -> name.equals(options.textColumn()) ? text : column.apply(name));
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
