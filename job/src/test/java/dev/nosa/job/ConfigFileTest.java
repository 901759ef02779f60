package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;

class ConfigFileTest {
    private static final Path SHIPPED = Path.of("..", "conf");

    @TempDir
    Path folder;

    private Path write(String content) throws IOException {
        return Files.writeString(folder.resolve("run.conf"), content);
    }

    private static CommandLine nosa() {
        PrintWriter nowhere = new PrintWriter(new StringWriter());
        return Nosa.commandLine(nowhere, nowhere, new Failures(nowhere));
    }

    private static CommandLine command(String name) {
        return nosa().getSubcommands().get(name);
    }

    private String error(String content) throws IOException {
        return CommandRun.of("generate", "--config", write(content).toString()).usageError();
    }

    @Test
    void anOptionOnTheCommandLineWinsOverTheFile() throws IOException {
        ConfigFile file = ConfigFile.read(write("temperature = 0.5\nseed = 3"));
        assertThat(file.arguments(Set.of("seed"))).containsExactly("--temperature=0.5");
    }

    @Test
    void theFileWinsOverTheDefault() throws IOException {
        ConfigFile file = ConfigFile.read(write("max-batch = 3"));
        GenerateJob job = new GenerateJob();
        new CommandLine(job).parseArgs(file.arguments(Set.of()).toArray(String[]::new));
        assertThat(job.model.maxBatch).isEqualTo(3);
        assertThat(job.model.threads).isZero();
    }

    @Test
    void aListRepeatsTheOption() throws IOException {
        ConfigFile file = ConfigFile.read(write("stop = [\"a,b\", \"\\n\"]\nraw-prompt = true"));
        GenerateJob job = new GenerateJob();
        new CommandLine(job).parseArgs(file.arguments(Set.of()).toArray(String[]::new));
        assertThat(job.sampling.stop).containsExactly("a,b", "\n");
        assertThat(job.prompt.raw).isTrue();
    }

    @Test
    void jsonAndTheEnvironmentWork() throws IOException {
        ConfigFile file = ConfigFile.read(write("{\"input\": ${PATH}}"));
        assertThat(file.arguments(Set.of())).containsExactly("--input=" + System.getenv("PATH"));
    }

    @Test
    void anUnknownKeyNamesTheNearestAndItsLine() throws IOException {
        assertThat(error("seed = 1\n\ntemprature = 1"))
                .contains("run.conf: 3")
                .contains("'temprature'")
                .contains("did you mean 'temperature'?")
                .endsWith("(--config)");
    }

    @Test
    void aValueOfTheWrongTypeNamesItsLine() throws IOException {
        assertThat(error("seed = 1\nslots = many")).contains("run.conf: 2").contains("slots");
    }

    @Test
    void aNestedObjectIsAnError() throws IOException {
        assertThat(error("model { path = x }")).contains("'model' must be a value or a list");
    }

    @Test
    void aFileThatIsNoHoconIsAnError() throws IOException {
        assertThat(error("a = [1, ")).contains("run.conf").endsWith("(--config)");
    }

    @Test
    void aMissingFileIsAnError() {
        assertThat(CommandRun.of("generate", "--config=/no/such.conf").usageError())
                .contains("/no/such.conf")
                .endsWith("(--config)");
    }

    @ParameterizedTest
    @ValueSource(strings = {"generate", "score", "eval"})
    void theShippedFileHasEveryOptionAndNoOther(String command) throws IOException {
        assertThat(shipped(command).keySet()).isEqualTo(new TreeSet<>(Nosa.optionNames(command(command))));
    }

    @ParameterizedTest
    @ValueSource(strings = {"generate", "score", "eval"})
    void theShippedFileShowsTheDefaults(String command) throws IOException {
        Map<String, String> shipped = shipped(command);
        for (OptionSpec option : command(command).getCommandSpec().options()) {
            String name = option.longestName().substring(2);
            String value = defaultOf(option);
            if (value != null && shipped.containsKey(name)) {
                assertThat(shipped).containsEntry(name, value);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"generate", "score", "eval"})
    void theShippedFileIsValidWithEveryOptionSwitchedOn(String command) throws IOException {
        Path on = write(content(command).replaceAll("(?m)^#([a-z])", "$1"));
        List<String> args = ConfigFile.read(on).arguments(Set.of());
        nosa().parseArgs(Stream.concat(Stream.of(command), args.stream()).toArray(String[]::new));
        assertThat(args).hasSizeGreaterThanOrEqualTo(shipped(command).size());
    }

    @ParameterizedTest
    @ValueSource(strings = {"generate", "score", "eval"})
    void theOptionsDocumentListsEveryOptionWithItsDefault(String command) throws IOException {
        String document = Files.readString(Path.of("..", "docs", "options.md"));
        for (String name : Nosa.optionNames(command(command))) {
            String value = defaultOf(command(command).getCommandSpec().findOption(name));
            String cell = value == null ? "[^|]*" : " `?" + Pattern.quote(value) + "`? ";
            assertThat(document).containsPattern("\\n\\| `--" + name + "[ `][^|]*\\|" + cell + "\\|");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"score", "eval"})
    void theShippedFilesExplainSharedOptionsInTheSameWords(String command) throws IOException {
        Map<String, String> generate = comments("generate");
        Map<String, String> other = comments(command);
        other.keySet().retainAll(generate.keySet());
        assertThat(other).hasSizeGreaterThan(20);
        assertThat(generate).containsAllEntriesOf(other);
    }

    /** The default that the command has for an option, null where there is none. */
    private static String defaultOf(OptionSpec option) {
        return option.defaultValue() == null ? null : option.defaultValueString();
    }

    private static String content(String command) throws IOException {
        return Files.readString(SHIPPED.resolve(command + ".conf"));
    }

    /** Values of the options, all of which are commented out. */
    private static Map<String, String> shipped(String command) throws IOException {
        return groups(command, "^#([a-z][a-z0-9-]*) = (.*)$", 1, 2);
    }

    /** The comment above each option. */
    private static Map<String, String> comments(String command) throws IOException {
        return groups(command, "((?:^# .*\n)+)^#([a-z][a-z0-9-]*) = ", 2, 1);
    }

    private static Map<String, String> groups(String command, String pattern, int key, int value) throws IOException {
        Map<String, String> options = new TreeMap<>();
        Matcher line = Pattern.compile(pattern, Pattern.MULTILINE).matcher(content(command));
        while (line.find()) {
            options.put(line.group(key), line.group(value));
        }
        return options;
    }
}
