package dev.nosa.job;

import java.io.PrintWriter;
import java.nio.charset.Charset;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/**
 * The {@code nosa} command line. Exit codes: 0 done, 1 the job failed, 2 options or input that the user has to change.
 */
@Command(
        name = "nosa",
        description = "Runs a long-context language model over documents, as a Spark job.",
        synopsisSubcommandLabel = "COMMAND",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        footer = {
            "",
            "Options of Spark (--master, --conf, --driver-memory and the like) may stand",
            "among those of generate, score and eval. Exit codes: 0 done, 1 the job failed,",
            "2 an option or the input has to be changed."
        },
        subcommands = {
            GenerateJob.class,
            ScoreJob.class,
            EvalJob.class,
            BenchCommand.class,
            DoctorCommand.class,
            HelpCommand.class
        })
public final class Nosa {
    /** Commands take options alone, and "--" may be a stop string: what no argument can hold ends the options. */
    static final String NO_DELIMITER = "\0";

    private Nosa() {}

    /** Ends the JVM with the exit code unless it is 0, which a cluster manager wants to see as a plain return. */
    public static void main(String[] args) {
        PrintWriter out = new PrintWriter(System.out, true, Charset.defaultCharset());
        PrintWriter err = new PrintWriter(System.err, true, Charset.defaultCharset());
        int code = run(args, out, err);
        if (code != 0) {
            System.exit(code);
        }
    }

    /** Runs one command line and returns its exit code. */
    static int run(String[] args, PrintWriter out, PrintWriter err) {
        Failures failures = new Failures(err);
        CommandLine nosa = commandLine(out, err, failures);
        if (args.length == 0) {
            nosa.usage(err);
            return CommandLine.ExitCode.USAGE;
        }
        List<String> full;
        try {
            full = withConfigFile(nosa.parseArgs(args), args);
        } catch (ParameterException e) {
            return failures.handleParseException(e, args);
        } catch (UsageException e) {
            return failures.report(e, false);
        }
        // A parsed command keeps its values, so the second parse gets a fresh one.
        return commandLine(out, err, failures).execute(full.toArray(String[]::new));
    }

    static CommandLine commandLine(PrintWriter out, PrintWriter err, Failures failures) {
        return new CommandLine(new Nosa())
                .setOut(out)
                .setErr(err)
                .setExpandAtFiles(false)
                .setEndOfOptionsDelimiter(NO_DELIMITER)
                .setParameterExceptionHandler(failures)
                .setExecutionExceptionHandler(failures);
    }

    /** Options of a subcommand, without their dashes. */
    static Set<String> optionNames(CommandLine command) {
        return command.getCommandSpec().options().stream()
                .map(OptionSpec::longestName)
                .map(name -> name.substring(2))
                .filter(name -> !Set.of("config", "help", "version").contains(name))
                .collect(Collectors.toSet());
    }

    private static List<String> withConfigFile(ParseResult parsed, String[] args) {
        List<String> full = new ArrayList<>(List.of(args));
        ParseResult command = parsed.hasSubcommand() ? parsed.subcommand() : parsed;
        if (!command.hasMatchedOption("--config")) {
            return full;
        }
        CommandLine commandLine = command.commandSpec().commandLine();
        ConfigFile file = ConfigFile.read(command.matchedOptionValue("--config", null));
        file.checkKeys(optionNames(commandLine), command.commandSpec().name());
        Set<String> given = command.matchedOptions().stream()
                .map(option -> option.longestName().substring(2))
                .collect(Collectors.toSet());
        full.addAll(file.arguments(given));
        checkValues(commandLine, file, full.subList(1, full.size()));
        return full;
    }

    /** What the command line alone passed, and does not pass now, stands in the file. */
    private static void checkValues(CommandLine command, ConfigFile file, List<String> args) {
        try {
            new CommandLine(command.getCommandSpec().userObject().getClass())
                    .setExpandAtFiles(false)
                    .setEndOfOptionsDelimiter(NO_DELIMITER)
                    .parseArgs(args.toArray(String[]::new));
        } catch (ParameterException e) {
            ArgSpec argument = e.getArgSpec();
            String key =
                    argument instanceof OptionSpec option ? option.longestName().substring(2) : "";
            throw file.has(key) ? new UsageException(file.where(key) + ": " + e.getMessage(), "--config", e) : e;
        }
    }
}
