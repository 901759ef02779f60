package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which Spark the scripts start, shown by a spark-submit that prints its words. */
class SparkHomeIT {
    private static final Path BUILT = NosaProcess.ROOT.resolve("job/target/spark/jars");

    @TempDir
    Path folder;

    private Path sparkHome(String core) throws IOException {
        Path home = folder.resolve("spark");
        Files.createDirectories(home.resolve("jars"));
        if (core != null) {
            Files.createFile(home.resolve("jars").resolve(core));
        }
        Path submit = Files.createDirectories(home.resolve("bin")).resolve("spark-submit");
        Files.writeString(submit, "#!/bin/sh\nprintf '%s\\n' \"$LOG4J_CONFIGURATION_FILE\" \"$@\"\n");
        Files.setPosixFilePermissions(submit, PosixFilePermissions.fromString("rwxr-xr-x"));
        return home;
    }

    private NosaProcess generate(Path home) throws IOException, InterruptedException {
        return NosaProcess.run(
                folder,
                Map.of("SPARK_HOME", home.toString()),
                NosaProcess.join(NosaProcess.NOSA, "generate", "--conf=a=b c", "--prompt", "$HOME {text}"));
    }

    private void assertRefused(Path home, String reason) throws IOException, InterruptedException {
        NosaProcess run = generate(home);
        assertThat(run.code()).isEqualTo(2);
        assertThat(run.out()).isEmpty();
        assertThat(run.err().lines())
                .singleElement()
                .asString()
                .startsWith("nosa: error: ")
                .contains(reason, "SPARK_HOME");
    }

    private static String builtCore() throws IOException {
        try (Stream<Path> jars = Files.list(BUILT)) {
            return jars.map(jar -> jar.getFileName().toString())
                    .filter(name -> name.startsWith("spark-core_"))
                    .findFirst()
                    .orElseThrow();
        }
    }

    @Test
    void aSparkOfTheSameVersionIsUsedWithItsOwnSubmit() throws IOException, InterruptedException {
        NosaProcess run = generate(sparkHome(builtCore()));
        assertThat(run.err()).isEmpty();
        assertThat(run.code()).isZero();
        assertThat(run.out().lines())
                .startsWith(NosaProcess.ROOT.resolve("conf/log4j2.properties").toString())
                .containsSubsequence("--conf", "a=b c", "--class", "dev.nosa.job.Nosa")
                .endsWith("generate", "--prompt", "$HOME {text}");
    }

    @Test
    void theLogSettingsAndDefaultsOfTheUsersSparkStay() throws IOException, InterruptedException {
        Path home = sparkHome(builtCore());
        Path conf = Files.createDirectories(home.resolve("conf"));
        Files.createFile(conf.resolve("log4j2.properties"));
        Files.createFile(conf.resolve("spark-defaults.conf"));
        NosaProcess run = generate(home);
        assertThat(run.out()).startsWith("\n").doesNotContain("--properties-file");
    }

    @Test
    void otherSparksAreRefusedInOneLine() throws IOException, InterruptedException {
        assertRefused(folder.resolve("nowhere"), "/nowhere/bin/spark-submit");
        assertRefused(sparkHome(null), "no Spark in");
        assertRefused(sparkHome("spark-core_2.13-3.5.1.jar"), "has spark-core_2.13-3.5.1, but this needs spark-core_");
        Files.delete(folder.resolve("spark/jars/spark-core_2.13-3.5.1.jar"));
        String core = builtCore();
        assertRefused(sparkHome(core.replace("_2.13", "_2.12")), "has spark-core_2.12-");
    }
}
