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
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;

class ConfigFileTest {
    private static final Path SHIPPED = Path.of("..", "conf", "generate.conf");

    @TempDir
    Path folder;

    private Path write(String content) throws IOException {
        return Files.writeString(folder.resolve("run.conf"), content);
    }

    private static CommandLine generateCommand() {
        PrintWriter nowhere = new PrintWriter(new StringWriter());
        return Nosa.commandLine(nowhere, nowhere, new Failures(nowhere))
                .getSubcommands()
                .get("generate");
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

    @Test
    void theShippedFileHasEveryOptionAndNoOther() throws IOException {
        assertThat(shipped().keySet()).isEqualTo(new java.util.TreeSet<>(Nosa.optionNames(generateCommand())));
    }

    @Test
    void theShippedFileShowsTheDefaults() throws IOException {
        Map<String, String> shipped = shipped();
        for (OptionSpec option : generateCommand().getCommandSpec().options()) {
            String name = option.longestName().substring(2);
            if (option.defaultValue() != null && shipped.containsKey(name)) {
                assertThat(shipped).containsEntry(name, option.defaultValue());
            }
        }
    }

    @Test
    void theShippedFileIsValidWithEveryOptionSwitchedOn() throws IOException {
        Path on = folder.resolve("all.conf");
        Files.writeString(on, Files.readString(SHIPPED).replaceAll("(?m)^#([a-z])", "$1"));
        List<String> args = ConfigFile.read(on).arguments(Set.of());
        new CommandLine(new GenerateJob()).parseArgs(args.toArray(String[]::new));
        assertThat(args).hasSizeGreaterThanOrEqualTo(shipped().size());
    }

    private static Map<String, String> shipped() throws IOException {
        Map<String, String> options = new TreeMap<>();
        Matcher line = Pattern.compile("(?m)^#([a-z][a-z0-9-]*) = (.*)$").matcher(Files.readString(SHIPPED));
        while (line.find()) {
            options.put(line.group(1), line.group(2));
        }
        return options;
    }
}
