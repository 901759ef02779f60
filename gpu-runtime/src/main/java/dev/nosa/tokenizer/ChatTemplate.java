package dev.nosa.tokenizer;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** Placeholder until the branch with the Jinja rendering is merged. */
public final class ChatTemplate {
    private ChatTemplate() {}

    public static Optional<ChatTemplate> load(Path dir) {
        return Optional.empty();
    }

    public String render(List<ChatMessage> messages, boolean addGenerationPrompt) {
        throw new UnsupportedOperationException();
    }
}
