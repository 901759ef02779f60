package dev.nosa.job;

import java.nio.file.Path;
import picocli.CommandLine.Option;

/** What every subcommand takes. */
final class CommonOptions {
    @Option(
            names = "--config",
            paramLabel = "FILE",
            description = "HOCON or JSON file of options, named as on the command line, which wins over it")
    Path config;

    @Option(names = "--verbose", description = "Print the stack trace of an error")
    boolean verbose;
}
