package dev.nosa.job;

import dev.nosa.spark.OnTooLong;
import dev.nosa.spark.PromptTemplate;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** What the model is asked about each document. */
final class PromptOptions {
    @Option(
            names = "--prompt",
            paramLabel = "TEXT|@FILE",
            description =
                    "Prompt with {column} references, {{ and }} for braces; @FILE reads it from a file, less the line break at its end (required; eval:"
                            + " the text, a blank line, {question})")
    String prompt;

    @Option(
            names = "--on-too-long",
            paramLabel = "POLICY",
            defaultValue = "error",
            description = "A document that is too long: error, truncate-head, truncate-tail or truncate-middle"
                    + " (default: error)")
    String onTooLong;

    @Option(
            names = "--system",
            paramLabel = "TEXT",
            description = "System message; needs a checkpoint with a chat template (default: none)")
    String system;

    @Option(
            names = "--raw-prompt",
            description = "Pass the prompt as it is, even if the checkpoint has a chat template")
    boolean raw;

    OnTooLong policy() {
        try {
            return OnTooLong.parse(onTooLong);
        } catch (IllegalArgumentException e) {
            throw UsageException.of(e);
        }
    }

    /** The template's text, from its file where it names one. */
    String text() {
        if (prompt == null) {
            throw new UsageException("a prompt is required", "--prompt");
        }
        return prompt.startsWith("@") ? fromFile(prompt.substring(1)) : prompt;
    }

    static PromptTemplate parse(String text) {
        try {
            return PromptTemplate.parse(text);
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage().replaceFirst("^prompt: ", ""), "--prompt", e);
        }
    }

    private static String fromFile(String file) {
        try {
            // Editors end a file with a line break, which would be part of the prompt.
            return Files.readString(Path.of(file)).replaceFirst("\\R\\z", "");
        } catch (IOException e) {
            throw new UsageException("cannot read the prompt's file " + file + " as UTF-8", "--prompt", e);
        }
    }
}
