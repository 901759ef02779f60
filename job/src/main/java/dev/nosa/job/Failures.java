package dev.nosa.job;

import dev.nosa.checkpoint.CheckpointException;
import dev.nosa.spark.EngineStartException;
import java.io.PrintWriter;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

/** One line an error, on stderr; the stack trace only on request. */
final class Failures implements IParameterExceptionHandler, IExecutionExceptionHandler {
    static final int JOB_FAILED = 1;
    static final int BAD_USAGE = 2;

    private final PrintWriter err;

    Failures(PrintWriter err) {
        this.err = err;
    }

    @Override
    public int handleParseException(ParameterException e, String[] args) {
        print(e instanceof UnmatchedArgumentException unmatched ? unmatched(unmatched) : invalid(e));
        return BAD_USAGE;
    }

    @Override
    public int handleExecutionException(Exception e, CommandLine command, ParseResult parsed) {
        return report(e, command.getParseResult().hasMatchedOption("--verbose"));
    }

    /** Prints the error and returns its exit code. */
    int report(Exception e, boolean verbose) {
        if (verbose) {
            e.printStackTrace(err);
        }
        if (e instanceof UsageException) {
            print(e.getMessage());
            return BAD_USAGE;
        }
        Optional<Throwable> checkpoint =
                causes(e).filter(CheckpointException.class::isInstance).findFirst();
        if (checkpoint.isPresent()) { // also one that a task met when it loaded the weights
            Throwable start = causes(e)
                    .filter(EngineStartException.class::isInstance)
                    .findFirst()
                    .orElse(checkpoint.get());
            print(start.getMessage() + " (--model)");
            return BAD_USAGE;
        }
        print(rootCause(e) + (verbose ? "" : " (--verbose prints the stack trace)"));
        return JOB_FAILED;
    }

    private void print(String message) {
        err.println("nosa: error: " + message.strip().lines().findFirst().orElse("unknown"));
        err.flush();
    }

    private static String unmatched(UnmatchedArgumentException e) {
        List<String> unmatched = e.getUnmatched();
        String name = unmatched.get(0).replaceFirst("=.*", "");
        Set<String> known = new TreeSet<>(e.getCommandLine().getSubcommands().keySet());
        if (name.startsWith("-")) {
            known.clear();
            e.getCommandLine().getCommandSpec().options().forEach(option -> known.add(option.longestName()));
            return "unknown option '" + name + "'" + NearestName.hint(name, known);
        }
        return known.isEmpty()
                ? "'" + name + "' belongs to no option"
                : "unknown command '" + name + "'" + NearestName.hint(name, known);
    }

    private static String invalid(ParameterException e) {
        ArgSpec argument = e.getArgSpec();
        String message = e.getMessage();
        if (argument instanceof OptionSpec option && !message.contains(option.longestName())) {
            return message + " (" + option.longestName() + ")";
        }
        return message;
    }

    /** The innermost message: Spark wraps a task's failure several times. */
    static String rootCause(Exception e) {
        Throwable root = causes(e).reduce(e, (outer, inner) -> inner);
        return root.getMessage() == null ? root.toString() : root.getMessage();
    }

    private static Stream<Throwable> causes(Throwable e) {
        return Stream.iterate(e, Objects::nonNull, Throwable::getCause);
    }
}
