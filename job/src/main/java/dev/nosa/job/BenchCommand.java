package dev.nosa.job;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;

/** {@code nosa bench}: speeds of this machine. */
@Command(name = "bench", description = "Measures.", mixinStandardHelpOptions = true, versionProvider = Version.class)
final class BenchCommand implements Callable<Integer> {
    @Override
    public Integer call() {
        return 0;
    }
}
