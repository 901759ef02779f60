package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.testkit.TinyModel;
import dev.nosa.testkit.TinyTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The same command, killed at random points until it is done: 20 times in all, drivers and executors. Its rows have to be those
 * of a run that nobody has disturbed.
 */
class KillIT {
    private static final int DOCUMENTS = 400;
    private static final int DRIVER_KILLS = 14;
    private static final int EXECUTOR_KILLS = 6;

    /** Processes live for seconds: they had better start fast. */
    private static final Map<String, String> FAST_START =
            Map.of("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC");

    private final Random random = new Random(20261126);

    @TempDir
    Path folder;

    @BeforeEach
    void documents() throws IOException {
        TinyModel.builder().vocab(TinyTokenizer.VOCAB).maxPositions(600).write(folder.resolve("model"));
        TinyTokenizer.write(folder.resolve("model"));
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < DOCUMENTS; i++) {
            lines.append("{\"id\": \"d").append(i).append("\", \"text\": \"");
            lines.append("some words of document ".repeat(1 + random.nextInt(12)))
                    .append(i)
                    .append("\"}\n");
        }
        Files.writeString(folder.resolve("documents.jsonl"), lines);
    }

    private List<String> command(String output, String... spark) {
        List<String> command = new ArrayList<>(List.of(NosaProcess.NOSA.toString(), "generate"));
        command.addAll(List.of(spark));
        command.addAll(List.of(
                "--model=model",
                "--input=documents.jsonl",
                "--output=" + output,
                "--prompt={text}",
                "--temperature=1",
                "--max-new-tokens=24",
                "--threads=1",
                "--wave-docs=20"));
        return command;
    }

    private Process start(List<String> command, String log) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectOutput(folder.resolve(log + ".out").toFile())
                .redirectError(folder.resolve(log + ".err").toFile());
        builder.environment().keySet().removeAll(List.of("SPARK_HOME", "SPARK_CONF_DIR", "MASTER"));
        builder.environment().putAll(FAST_START);
        return builder.start();
    }

    private void runToItsEnd(List<String> command, String log) throws IOException, InterruptedException {
        NosaProcess run = NosaProcess.run(folder, FAST_START, command);
        assertThat(run.code()).as(log + ": " + run.err()).isZero();
        assertThat(run.out()).contains(DOCUMENTS + ": " + DOCUMENTS + " ok, 0 truncated, 0 errors");
    }

    private static void kill(ProcessHandle process) {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly(); // SIGKILL
    }

    private int committed(String output) throws IOException {
        Path records = folder.resolve(output).resolve("_nosa/waves");
        if (!Files.isDirectory(records)) {
            return 0;
        }
        try (Stream<Path> files = Files.list(records)) {
            return (int) files.filter(file -> file.toString().endsWith(".json")).count();
        }
    }

    /** Lets the process live until it has begun to commit, or to plan where nothing is left, and a random time more. */
    private void awaitRandomPoint(Process process, String output, int before) throws IOException, InterruptedException {
        boolean early = random.nextInt(4) == 0; // while it starts, plans, or puts things right
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(120);
        while (process.isAlive() && !early && committed(output) == before && System.nanoTime() < deadline) {
            Thread.sleep(20);
        }
        process.waitFor(random.nextInt(early ? 8000 : 700), TimeUnit.MILLISECONDS);
    }

    private List<Row> rows(String output) throws IOException {
        return ResultFiles.read(
                folder.resolve(output),
                "id",
                "generation",
                "status",
                "error",
                "finish_reason",
                "prompt_tokens",
                "output_tokens");
    }

    @Test
    void aRunThatIsKilledTwentyTimesGivesTheRowsOfOneThatIsNot() throws IOException, InterruptedException {
        runToItsEnd(command("undisturbed"), "undisturbed");
        List<Row> expected = rows("undisturbed");
        assertThat(expected).hasSize(DOCUMENTS);
        killDrivers(expected);
        killExecutors(expected);
    }

    private void killDrivers(List<Row> expected) throws IOException, InterruptedException {
        int kills = 0;
        for (int run = 0; kills < DRIVER_KILLS; run++) {
            String output = "drivers-" + run;
            while (kills < DRIVER_KILLS) {
                Process process = start(command(output), output);
                awaitRandomPoint(process, output, committed(output));
                if (!process.isAlive()) {
                    assertThat(process.exitValue()).isZero(); // done before it was killed: a new run
                    break;
                }
                kill(process.toHandle());
                process.waitFor();
                kills++;
            }
            runToItsEnd(command(output), output);
            assertThat(rows(output)).isEqualTo(expected);
        }
    }

    private void killExecutors(List<Row> expected) throws IOException, InterruptedException {
        List<String> command = command(
                "executors",
                "--master",
                "local-cluster[2,1,1024]",
                "--conf",
                "spark.executor.memory=1g",
                "--conf",
                "spark.task.maxFailures=30",
                "--conf",
                "spark.stage.maxConsecutiveAttempts=30");
        Process process = start(command, "executors");
        for (int kill = 0; kill < EXECUTOR_KILLS; kill++) {
            awaitRandomPoint(process, "executors", committed("executors"));
            List<ProcessHandle> executors = process.descendants()
                    .filter(child -> child.info().commandLine().orElse("").contains("CoarseGrainedExecutorBackend"))
                    .toList();
            assertThat(process.isAlive()).as("alive before kill %d", kill).isTrue();
            if (executors.isEmpty()) {
                kill--; // the next one is not there yet
                Thread.sleep(100);
            } else {
                executors.get(random.nextInt(executors.size())).destroyForcibly();
            }
        }
        assertThat(process.waitFor(10, TimeUnit.MINUTES)).isTrue();
        assertThat(process.exitValue())
                .as(Files.readString(folder.resolve("executors.err")))
                .isZero();
        assertThat(rows("executors")).isEqualTo(expected);
    }
}
