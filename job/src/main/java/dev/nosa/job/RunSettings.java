package dev.nosa.job;

import dev.nosa.engine.EngineConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/** Everything that changes a run's results, by the name of the option: every option that is not known to change none. */
final class RunSettings {
    /** Where results go, when, and how fast. */
    private static final Set<String> WITHOUT_EFFECT = Set.of(
            "--output",
            "--output-mode",
            "--max-error-rate",
            "--show",
            "--partitions",
            "--wave-docs",
            "--wave-tokens",
            "--retry-failed",
            "--incremental",
            "--break-lock",
            "--host-kv",
            "--device-kv",
            "--memory",
            "--slots",
            "--max-batch",
            "--max-step-tokens",
            "--threads",
            "--answers",
            "--compare",
            "--report",
            "--heat-map",
            "--fail-under",
            "--config",
            "--verbose",
            "--help",
            "--version");

    private RunSettings() {}

    /**
     * Of a parsed command.
     *
     * @param prompts values of options that may name a file instead
     */
    static Map<String, String> of(CommandSpec command, Map<String, String> prompts, EngineConfig engine)
            throws IOException {
        Map<String, String> settings = new TreeMap<>();
        settings.put("command", command.name());
        for (OptionSpec option : command.options()) {
            Object value = option.getValue();
            if (value != null && !WITHOUT_EFFECT.contains(option.longestName())) {
                settings.put(option.longestName().substring(2), value.toString());
            }
        }
        settings.putAll(prompts);
        settings.put("model", engine.model().getFileName() + ", " + modelDigest(engine.model()));
        return settings;
    }

    /** Every option that has a value, by its name. */
    static Map<String, String> all(CommandSpec command) {
        Map<String, String> values = new TreeMap<>();
        for (OptionSpec option : command.options()) {
            if (option.getValue() != null) {
                values.put(option.longestName().substring(2), option.getValue().toString());
            }
        }
        return values;
    }

    /** Of the small files' contents, and of the names and lengths of those with weights. */
    private static String modelDigest(Path model) throws IOException {
        StringBuilder text = new StringBuilder();
        List<Path> files;
        try (Stream<Path> all = Files.list(model)) {
            files = all.filter(Files::isRegularFile).sorted().toList();
        }
        for (Path file : files) {
            String name = file.getFileName().toString();
            if (name.endsWith(".json") || name.endsWith(".jinja")) {
                text.append(name).append(Files.readString(file));
            } else if (name.endsWith(".safetensors")) {
                text.append(name).append(Files.size(file));
            }
        }
        return InputState.digest(text.toString());
    }
}
