package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The packaged jar with dynamic allocation, GPUs (made up) for the generating stage alone, the plugin, and an executor that
 * has to leave in mid-run.
 */
class ComingAndGoingIT {
    private static final Path WORK = NosaProcess.ROOT.resolve("job/target/spark/work");
    private static final Pattern ENGINE =
            Pattern.compile("Engine of this JVM \\(process (\\d+)\\) started in .* device=(\\d+),");
    private static final int DOCUMENTS = 6;
    private static final int GPU = 5;

    @TempDir
    Path folder;

    private Path executable(String name, String content) throws IOException {
        Path file = Files.writeString(folder.resolve(name), content);
        return Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwx------"));
    }

    private List<String> command() throws IOException {
        Path script =
                executable("find-gpus", "#!/bin/sh\necho '{\"name\": \"gpu\", \"addresses\": [\"" + GPU + "\"]}'\n");
        Path csv = Files.createDirectory(folder.resolve("csv"));
        List<String> command = new ArrayList<>(
                List.of(NosaProcess.NOSA.toString(), "generate", "--master", "local-cluster[2,2,2048]"));
        for (String setting : List.of(
                "spark.plugins=dev.nosa.spark.NosaPlugin",
                "spark.nosa.log.interval=1s",
                "spark.nosa.metrics.interval=1s",
                "spark.nosa.stageResources=true",
                "spark.nosa.stage.cores=1",
                "spark.nosa.stage.memory=1g",
                "spark.executor.cores=1",
                "spark.executor.memory=512m",
                "spark.dynamicAllocation.enabled=true",
                "spark.dynamicAllocation.initialExecutors=1",
                "spark.dynamicAllocation.maxExecutors=2",
                "spark.worker.resource.gpu.amount=1",
                "spark.worker.resource.gpu.discoveryScript=" + script,
                "spark.decommission.enabled=true",
                "spark.storage.decommission.enabled=true",
                "spark.storage.decommission.shuffleBlocks.enabled=true",
                "spark.metrics.namespace=nosa",
                "spark.metrics.conf.driver.sink.csv.class=org.apache.spark.metrics.sink.CsvSink",
                "spark.metrics.conf.driver.sink.csv.period=1",
                "spark.metrics.conf.driver.sink.csv.directory=" + csv)) {
            command.addAll(List.of("--conf", setting));
        }
        command.addAll(List.of(
                "--model=" + NosaProcess.ROOT.resolve("sample-data/model"),
                "--input=" + NosaProcess.ROOT.resolve("sample-data/documents.parquet"),
                "--output=output",
                "--prompt={text}",
                "--max-context=400",
                "--on-too-long=truncate-middle",
                "--max-new-tokens=8",
                "--backend=cpu",
                "--threads=1",
                "--limit=" + DOCUMENTS,
                "--partitions=3"));
        return command;
    }

    @Test
    void noDocumentIsLostWhenAnExecutorWithAGpuLeaves() throws Exception {
        Path settings = Files.writeString(
                folder.resolve("log4j2.properties"),
                Files.readString(NosaProcess.ROOT.resolve("conf/log4j2.properties"))
                        .replace("rootLogger.level = warn", "rootLogger.level = info"));
        Set<Path> before = applications();
        CompletableFuture<Path> left = CompletableFuture.supplyAsync(() -> sendAway(before));

        NosaProcess run = NosaProcess.run(folder, Map.of("LOG4J_CONFIGURATION_FILE", settings.toString()), command());

        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.out()).contains(DOCUMENTS + ": 0 ok, " + DOCUMENTS + " truncated, 0 errors");
        Path executor = left.get(10, TimeUnit.SECONDS);
        assertThat(run.err()).contains("Decommission executors: " + executor.getFileName());
        assertThat(run.err()).containsPattern("Starting task .*,executor 0, ");
        assertOnlyExecutorsOfTheStageHaveEngines(executor.getParent());
        assertThat(driversMetric("total.documents")).isGreaterThan(0);
        assertThat(driversMetric("executor." + executor.getFileName() + ".batch_max"))
                .isEqualTo(8);
    }

    /** Tells the first executor with an engine to leave, as a node's manager does; its folder. */
    private static Path sendAway(Set<Path> before) {
        long deadline = System.nanoTime() + TimeUnit.MINUTES.toNanos(5);
        try {
            while (System.nanoTime() < deadline) {
                for (Path log : logs(before)) {
                    Matcher engine = ENGINE.matcher(Files.readString(log));
                    if (engine.find()) {
                        new ProcessBuilder("kill", "-PWR", engine.group(1))
                                .start()
                                .waitFor();
                        return log.getParent();
                    }
                }
                TimeUnit.MILLISECONDS.sleep(100);
            }
        } catch (IOException | InterruptedException e) {
            throw new AssertionError(e);
        }
        throw new AssertionError("no engine started");
    }

    private static void assertOnlyExecutorsOfTheStageHaveEngines(Path application) throws IOException {
        int engines = 0;
        for (Path log : logsOf(application)) {
            String text = Files.readString(log);
            Matcher engine = ENGINE.matcher(text);
            if (engine.find()) {
                engines++;
                assertThat(engine.group(2)).as("GPU of %s", log).isEqualTo(String.valueOf(GPU));
                assertThat(text).containsPattern("Executor \\d+: \\d+ documents \\(0 errors\\), ");
            }
        }
        assertThat(engines).isPositive();
        assertThat(Files.readString(application.resolve("0/stderr"))).doesNotContain("Engine of this JVM");
    }

    /** The last value that the driver's sink wrote. */
    private double driversMetric(String name) throws IOException {
        Path file = folder.resolve("csv/nosa.driver.plugin.dev.nosa.spark.NosaPlugin." + name + ".csv");
        List<String> lines = Files.readAllLines(file);
        return Double.parseDouble(lines.get(lines.size() - 1).split(",")[1]);
    }

    private static List<Path> logs(Set<Path> before) throws IOException {
        List<Path> logs = new ArrayList<>();
        for (Path application : applications()) {
            if (!before.contains(application)) {
                logs.addAll(logsOf(application));
            }
        }
        return logs;
    }

    private static List<Path> logsOf(Path application) throws IOException {
        try (Stream<Path> executors = Files.list(application)) {
            return executors
                    .map(executor -> executor.resolve("stderr"))
                    .filter(Files::exists)
                    .toList();
        }
    }

    private static Set<Path> applications() throws IOException {
        if (!Files.isDirectory(WORK)) {
            return new HashSet<>();
        }
        try (Stream<Path> folders = Files.list(WORK)) {
            return new HashSet<>(folders.toList());
        }
    }
}
