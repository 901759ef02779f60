package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.testkit.TinyModel;
import dev.nosa.testkit.TinyTokenizer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The packaged jar, started as users start it, on executors in JVMs of their own. */
class LocalClusterIT {
    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
    private static final Path WORK = ROOT.resolve("job/target/spark/work");
    private static final Pattern ENGINE = Pattern.compile("Engine of this JVM \\(process (\\d+)\\) started");
    private static final int DOCUMENTS = 12;

    @TempDir
    Path folder;

    private record Ended(int code, String out, String err) {}

    /** Runs bin/nosa from another folder than the repository's. */
    private Ended nosa(Path script, String... args) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(script.toString()));
        command.addAll(List.of(args));
        Path out = folder.resolve("out.txt");
        Path err = folder.resolve("err.txt");
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectOutput(out.toFile())
                .redirectError(err.toFile());
        builder.environment().keySet().removeAll(Set.of("SPARK_HOME", "SPARK_CONF_DIR", "MASTER"));
        Process process = builder.start();
        if (!process.waitFor(10, TimeUnit.MINUTES)) {
            process.destroyForcibly();
            throw new AssertionError(command + " did not end: " + Files.readString(err));
        }
        return new Ended(process.exitValue(), Files.readString(out), Files.readString(err));
    }

    @Test
    void twoExecutorsStartOneEngineEach() throws IOException, InterruptedException {
        Path model = folder.resolve("a model");
        TinyModel.builder().vocab(TinyTokenizer.VOCAB).maxPositions(600).write(model);
        TinyTokenizer.write(model);
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < DOCUMENTS; i++) {
            lines.append("{\"id\":\"d")
                    .append(i)
                    .append("\",\"text\":\"")
                    .append("word ".repeat(10 + i))
                    .append("\"}\n");
        }
        Files.writeString(folder.resolve("input.jsonl"), lines);
        Path link = Files.createSymbolicLink(folder.resolve("a link"), ROOT.resolve("bin/nosa"));
        Set<Path> before = applications();

        Ended run = nosa(
                link,
                "generate",
                "--master",
                "local-cluster[2,1,1024]",
                "--conf",
                "spark.scheduler.minRegisteredResourcesRatio=1.0",
                "--conf",
                "spark.executor.memory=1024m",
                "--model=a model",
                "--input=input.jsonl",
                "--output=generations",
                "--prompt=Say \"{text}\" $HOME",
                "--max-new-tokens=4",
                "--partitions=6",
                "--threads=1");

        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.out()).contains(DOCUMENTS + ": " + DOCUMENTS + " ok, 0 truncated, 0 errors");
        assertThat(outputIds()).hasSize(DOCUMENTS);
        Set<Path> ours = applications();
        ours.removeAll(before);
        assertThat(ours).hasSize(1);
        assertOneEngineAnExecutor(ours.iterator().next());
    }

    @Test
    void aUsageErrorComesBackThroughSparkSubmit() throws IOException, InterruptedException {
        Ended run = nosa(ROOT.resolve("bin/nosa"), "generate", "--modl=x");
        assertThat(run.code()).isEqualTo(2);
        assertThat(run.err()).contains("nosa: error: unknown option '--modl'; did you mean '--model'?");
    }

    @Test
    void theVersionIsTheBuilds() throws IOException, InterruptedException {
        Ended run = nosa(ROOT.resolve("bin/nosa"), "--version");
        assertThat(run.code()).isZero();
        assertThat(run.out()).matches("nosa \\d+\\.\\d+\\.\\d+.*\\s*");
    }

    private List<String> outputIds() throws IOException {
        try (SparkSession spark = SparkSession.builder()
                .master("local[1]")
                .config("spark.ui.enabled", false)
                .config("spark.driver.host", "localhost")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .getOrCreate()) {
            List<Row> rows = spark.read()
                    .parquet(folder.resolve("generations").toString())
                    .collectAsList();
            return rows.stream().map(row -> row.<String>getAs("id")).distinct().toList();
        }
    }

    /** Folders that executors leave their logs in, one an application. */
    private static Set<Path> applications() throws IOException {
        if (!Files.isDirectory(WORK)) {
            return new HashSet<>();
        }
        try (Stream<Path> folders = Files.list(WORK)) {
            return new HashSet<>(folders.toList());
        }
    }

    private static void assertOneEngineAnExecutor(Path application) throws IOException {
        List<Path> logs;
        try (Stream<Path> executors = Files.list(application)) {
            logs = executors.map(executor -> executor.resolve("stderr")).toList();
        }
        assertThat(logs).hasSize(2);
        Set<String> processes = new HashSet<>();
        for (Path log : logs) {
            String text = Files.readString(log, StandardCharsets.UTF_8);
            int engines = 0;
            Matcher line = ENGINE.matcher(text);
            while (line.find()) {
                engines++;
                processes.add(line.group(1));
            }
            assertThat(engines).as("engines in %s: %s", log, text).isEqualTo(1);
        }
        assertThat(processes).hasSize(2);
    }
}
