package dev.nosa.job;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigException;
import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigValue;
import com.typesafe.config.ConfigValueType;
import dev.nosa.spark.PromptTemplate;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** Named prompts from a HOCON or JSON file: each key is a name, its value a template. In the order of the file's lines. */
final class PromptsFile {
    private static final String OPTION = "--prompts";

    private final Map<String, String> templates;

    private PromptsFile(Map<String, String> templates) {
        this.templates = templates;
    }

    /** Fails on what is wrong with the file, with the name of the prompt that it is wrong with. */
    static PromptsFile read(Path file) {
        String text = text(file);
        Optional<String> twice = HoconKeys.firstDuplicate(text);
        if (twice.isPresent()) {
            throw new UsageException(file + ": the prompt '" + twice.get() + "' occurs twice; rename one", OPTION);
        }
        Map<String, String> templates = new LinkedHashMap<>();
        for (Map.Entry<String, ConfigValue> entry : entries(file, text)) {
            templates.put(entry.getKey(), template(file, entry.getKey(), entry.getValue()));
        }
        if (templates.isEmpty()) {
            throw new UsageException(
                    file + " holds no prompts; write one a line, as in: name = \"{text} ...\"", OPTION);
        }
        requireDistinct(file, templates);
        return new PromptsFile(templates);
    }

    /** Templates by name. */
    Map<String, String> templates() {
        return templates;
    }

    private static String text(Path file) {
        if (!Files.isRegularFile(file) || !Files.isReadable(file)) {
            throw new UsageException("cannot read " + file, OPTION);
        }
        try {
            return Files.readString(file);
        } catch (CharacterCodingException e) {
            throw new UsageException("cannot read " + file + " as UTF-8", OPTION, e);
        } catch (IOException e) {
            throw new UsageException("cannot read " + file + ": " + e.getMessage(), OPTION, e);
        }
    }

    private static List<Map.Entry<String, ConfigValue>> entries(Path file, String text) {
        try {
            Config config = ConfigFactory.parseString(text).resolve();
            List<Map.Entry<String, ConfigValue>> entries =
                    new ArrayList<>(config.root().entrySet());
            entries.sort(Comparator.<Map.Entry<String, ConfigValue>>comparingInt(
                            entry -> entry.getValue().origin().lineNumber())
                    .thenComparing(entry -> text.indexOf(entry.getKey())));
            return entries;
        } catch (ConfigException e) {
            String reason =
                    e.getMessage().lines().findFirst().orElse("not HOCON").replaceFirst("^String: ", "line ");
            throw new UsageException(file + " is neither HOCON nor JSON: " + reason, OPTION, e);
        }
    }

    private static String template(Path file, String name, ConfigValue value) {
        if (!name.matches("[A-Za-z0-9_-]+")) {
            throw new UsageException(
                    file + ": the name '" + name + "' must have letters, digits, _ and - alone", OPTION);
        }
        if (value.valueType() != ConfigValueType.STRING) {
            throw new UsageException(
                    file + ": the prompt '" + name + "' must be a text, is "
                            + value.valueType().name().toLowerCase(Locale.ROOT),
                    OPTION);
        }
        String template = (String) value.unwrapped();
        try {
            PromptTemplate.parse(template);
        } catch (IllegalArgumentException e) {
            String reason = e.getMessage().replaceFirst("^prompt: ", "");
            throw new UsageException(file + ": prompt '" + name + "': " + reason, OPTION, e);
        }
        return template;
    }

    /** Columns have no case in Spark. */
    private static void requireDistinct(Path file, Map<String, String> templates) {
        Map<String, String> lower = new LinkedHashMap<>();
        for (String name : templates.keySet()) {
            String other = lower.put(name.toLowerCase(Locale.ROOT), name);
            if (other != null) {
                throw new UsageException(
                        file + ": the prompts '" + other + "' and '" + name + "' differ in case alone; rename one",
                        OPTION);
            }
        }
    }
}
