package dev.nosa.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import dev.nosa.checkpoint.CheckpointException;
import dev.nosa.checkpoint.JsonFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A checkpoint's chat template: the Jinja text that turns messages into the prompt the model was trained with. Safe from
 * any thread. Contents of messages are data: Jinja syntax in them comes out as it is.
 *
 * <p>Jinjava renders it with what transformers offers: {@code bos_token}, {@code eos_token}, {@code
 * add_generation_prompt}, {@code messages}, {@code raise_exception}, {@code strftime_now}, {@code tojson}, Python's string
 * methods. What Jinjava lacks of Jinja2 (slices with a step, {@code for ... if}, unknown filters) is an error.
 */
public final class ChatTemplate {
    private static final String CONFIG_FILE = "tokenizer_config.json";
    private static final String JINJA_FILE = "chat_template.jinja";
    private static final String KEY = "chat_template";

    private final String where;
    private final String template;
    private final Map<String, String> specialTokens;
    private final Jinjava jinjava;

    private ChatTemplate(String where, String template, Map<String, String> specialTokens) {
        this.where = where;
        this.specialTokens = specialTokens;
        this.jinjava = ChatTemplateLanguage.create();
        try {
            this.template = ChatTemplateLanguage.check(ChatTemplateSource.of(template), jinjava);
        } catch (IllegalArgumentException e) {
            throw new CheckpointException(where + ": " + e.getMessage(), e);
        }
    }

    /**
     * The template of folder {@code dir}: {@code chat_template.jinja}, or else {@code chat_template} of {@code
     * tokenizer_config.json}, where a list's entry is the one named {@code default}. Empty if there is neither.
     */
    public static Optional<ChatTemplate> load(Path dir) {
        Path configFile = dir.resolve(CONFIG_FILE);
        Optional<JsonNode> config =
                Files.exists(configFile) ? Optional.of(JsonFiles.readObject(configFile)) : Optional.empty();
        Map<String, String> specialTokens =
                config.map(ChatTemplate::specialTokens).orElse(Map.of());
        Path jinjaFile = dir.resolve(JINJA_FILE);
        if (Files.exists(jinjaFile)) {
            return Optional.of(new ChatTemplate(jinjaFile.toString(), readText(jinjaFile), specialTokens));
        }
        return config.filter(json -> json.hasNonNull(KEY))
                .map(json -> new ChatTemplate(
                        configFile + ": " + KEY, templateText(configFile, json.get(KEY)), specialTokens));
    }

    private static String readText(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new CheckpointException(file + ": cannot be read: " + e, e);
        }
    }

    private static String templateText(Path file, JsonNode template) {
        if (template.isTextual()) {
            return template.textValue();
        }
        for (JsonNode named : template) {
            if (named.path("name").asText().equals("default")
                    && named.path("template").isTextual()) {
                return named.path("template").textValue();
            }
        }
        throw new CheckpointException(
                file + ": " + KEY + " must be a string, or a list of named templates with one named default");
    }

    private static Map<String, String> specialTokens(JsonNode config) {
        Map<String, String> tokens = new HashMap<>();
        for (String name : List.of("bos_token", "eos_token", "unk_token", "pad_token")) {
            JsonNode token = config.path(name);
            JsonNode content = token.isObject() ? token.path("content") : token;
            if (content.isTextual()) {
                tokens.put(name, content.textValue());
            }
        }
        return tokens;
    }

    /**
     * The prompt for {@code messages}. Whatever the template does not accept or Jinjava does not understand is a {@link
     * CheckpointException} with the template's own words.
     *
     * @param addGenerationPrompt whether the prompt ends with the begin of the assistant's answer
     */
    public String render(List<ChatMessage> messages, boolean addGenerationPrompt) {
        Map<String, Object> bindings = new HashMap<>(specialTokens);
        bindings.put("messages", messages.stream().map(ChatTemplate::fields).toList());
        bindings.put("add_generation_prompt", addGenerationPrompt);
        RenderResult result = jinjava.renderForResult(template, bindings);
        if (!result.getErrors().isEmpty()) {
            TemplateError error = result.getErrors().get(0);
            String line = error.getLineno() > 0 ? "line " + error.getLineno() + ": " : "";
            throw new CheckpointException(where + ": " + line + message(error));
        }
        return result.getOutput();
    }

    private static Map<String, String> fields(ChatMessage message) {
        Map<String, String> fields = new LinkedHashMap<>();
        fields.put("role", message.role());
        fields.put("content", message.content());
        return fields;
    }

    /** Jinjava wraps what {@code raise_exception} threw in its own words. */
    private static String message(TemplateError error) {
        for (Throwable cause = error.getException(); cause != null; cause = cause.getCause()) {
            if (cause instanceof ChatTemplateLanguage.RaisedException) {
                return cause.getMessage();
            }
        }
        return error.getMessage();
    }
}
