package dev.nosa.job;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** A command that ran to its end, in a process of its own. */
record NosaProcess(int code, String out, String err) {
    static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
    static final Path NOSA = ROOT.resolve("bin/nosa");

    /** Runs {@code command} in {@code folder}, with the environment's Spark forgotten. */
    static NosaProcess run(Path folder, Map<String, String> environment, List<String> command)
            throws IOException, InterruptedException {
        Path out = folder.resolve("out.txt");
        Path err = folder.resolve("err.txt");
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectOutput(out.toFile())
                .redirectError(err.toFile());
        builder.environment().keySet().removeAll(Set.of("SPARK_HOME", "SPARK_CONF_DIR", "MASTER"));
        builder.environment().putAll(environment);
        Process process = builder.start();
        if (!process.waitFor(10, TimeUnit.MINUTES)) {
            process.destroy(); // scripts end what they started
            if (!process.waitFor(20, TimeUnit.SECONDS)) {
                process.destroyForcibly();
            }
            throw new AssertionError(command + " did not end: " + Files.readString(err));
        }
        return new NosaProcess(process.exitValue(), Files.readString(out), Files.readString(err));
    }

    /** Runs {@code bin/nosa}. */
    static NosaProcess nosa(Path folder, String... args) throws IOException, InterruptedException {
        return run(folder, Map.of(), join(NOSA, args));
    }

    static List<String> join(Path program, String... args) {
        return Stream.concat(Stream.of(program.toString()), Arrays.stream(args)).toList();
    }
}
