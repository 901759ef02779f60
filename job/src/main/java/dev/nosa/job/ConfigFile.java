package dev.nosa.job;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigException;
import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigList;
import com.typesafe.config.ConfigObject;
import com.typesafe.config.ConfigValue;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** Options from a HOCON file: each key is an option's name without its dashes, a list repeats the option. */
final class ConfigFile {
    private final Map<String, ConfigValue> values;

    private ConfigFile(Map<String, ConfigValue> values) {
        this.values = values;
    }

    static ConfigFile read(Path file) {
        if (!Files.isRegularFile(file) || !Files.isReadable(file)) {
            throw new UsageException("cannot read " + file, "--config");
        }
        try {
            Config config = ConfigFactory.parseFile(file.toFile()).resolve();
            return new ConfigFile(new TreeMap<>(config.root()));
        } catch (ConfigException e) {
            throw new UsageException(e.getMessage().lines().findFirst().orElse("not HOCON"), "--config", e);
        }
    }

    /** Fails on the first key that is no option, with the nearest one that is. */
    void checkKeys(Set<String> options, String command) {
        for (Map.Entry<String, ConfigValue> entry : values.entrySet()) {
            if (!options.contains(entry.getKey())) {
                throw new UsageException(
                        where(entry.getKey()) + ": '" + entry.getKey() + "' is no option of nosa " + command
                                + NearestName.hint(entry.getKey(), options),
                        "--config");
            }
        }
    }

    /** The options as a command line would give them, without those in {@code given}. */
    List<String> arguments(Set<String> given) {
        List<String> arguments = new ArrayList<>();
        values.forEach((key, value) -> {
            if (!given.contains(key)) {
                List<? extends ConfigValue> items = value instanceof ConfigList list ? list : List.of(value);
                items.forEach(item -> arguments.add("--" + key + "=" + scalar(key, item)));
            }
        });
        return arguments;
    }

    boolean has(String key) {
        return values.containsKey(key);
    }

    /** File and line of a key, for messages. */
    String where(String key) {
        return values.get(key).origin().description();
    }

    private String scalar(String key, ConfigValue value) {
        if (value instanceof ConfigObject || value instanceof ConfigList || value.unwrapped() == null) {
            throw new UsageException(where(key) + ": '" + key + "' must be a value or a list of values", "--config");
        }
        return value.unwrapped().toString();
    }
}
