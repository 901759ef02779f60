package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
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
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The packaged jar, started as users start it, over the sample, on this JVM's threads and on executors in JVMs of their own.
 * Every document is cut to 512 tokens, so that the test takes a minute.
 */
class LocalClusterIT {
    private static final Path WORK = NosaProcess.ROOT.resolve("job/target/spark/work");
    private static final Pattern ENGINE = Pattern.compile("Engine of this JVM \\(process (\\d+)\\) started");
    private static final int DOCUMENTS = 12;

    private static final String[] TWO_EXECUTORS = {
        "--master",
        "local-cluster[2,1,2048]",
        "--conf",
        "spark.scheduler.minRegisteredResourcesRatio=1.0",
        "--conf",
        "spark.scheduler.maxRegisteredResourcesWaitingTime=120s"
    };

    @TempDir
    Path folder;

    @BeforeEach
    void inputs() throws IOException {
        Files.createSymbolicLink(folder.resolve("a link"), NosaProcess.NOSA);
        Files.createSymbolicLink(folder.resolve("a model"), NosaProcess.ROOT.resolve("sample-data/model"));
        Files.copy(NosaProcess.ROOT.resolve("sample-data/documents.parquet"), folder.resolve("the documents.parquet"));
    }

    /** Runs bin/nosa through a link, from another folder than the repository's, with names that a shell would split. */
    private NosaProcess generate(String model, String output, String... sparkOptions)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(folder.resolve("a link").toString(), "generate"));
        command.addAll(List.of(sparkOptions));
        command.addAll(List.of(
                "--model=" + model,
                "--input=the documents.parquet",
                "--output=" + output,
                "--prompt=Say \"{text}\" $HOME",
                "--max-context=512",
                "--on-too-long=truncate-middle",
                "--max-new-tokens=4",
                "--temperature=0.8"));
        return NosaProcess.run(folder, Map.of(), command);
    }

    @Test
    void twoExecutorsGiveWhatOneJvmGivesAndStartOneEngineEach() throws IOException, InterruptedException {
        NosaProcess local = generate("a model", "local", "--master", "local[2]");
        assertThat(local.code()).as(local.err()).isZero();
        assertThat(local.err()).doesNotContain("incubator", "NativeCodeLoader", "CudaUtils", "Versions of", "\tat ");

        Set<Path> before = applications();
        Path events = Files.createDirectory(folder.resolve("events"));
        NosaProcess cluster = generate("a model", "cluster", withEvents(events, TWO_EXECUTORS));
        assertThat(cluster.code()).as(cluster.err()).isZero();
        assertThat(cluster.out()).contains(DOCUMENTS + ": 0 ok, " + DOCUMENTS + " truncated, 0 errors");

        assertThat(results("cluster")).hasSize(DOCUMENTS).isEqualTo(results("local"));
        Set<Path> ours = applications();
        ours.removeAll(before);
        assertThat(ours).hasSize(1);
        assertOneEngineAnExecutor(ours.iterator().next());
        assertEnginesStartEarly(events);
    }

    private static String[] withEvents(Path events, String... options) {
        List<String> all = new ArrayList<>(List.of(options));
        all.addAll(List.of("--conf", "spark.eventLog.enabled=true", "--conf", "spark.eventLog.dir=" + events.toUri()));
        all.addAll(
                List.of("--conf", "spark.eventLog.compress=false", "--conf", "spark.eventLog.rolling.enabled=false"));
        return all.toArray(String[]::new);
    }

    /** Tasks of a job before those of the planning ask every executor to start its engine. */
    private static void assertEnginesStartEarly(Path events) throws IOException {
        List<JsonNode> jobs = new ArrayList<>();
        List<JsonNode> tasks = new ArrayList<>();
        try (Stream<Path> logs = Files.list(events)) {
            for (String line : Files.readAllLines(logs.findFirst().orElseThrow())) {
                JsonNode event = new ObjectMapper().readTree(line);
                switch (event.get("Event").asText()) {
                    case "SparkListenerJobStart" -> jobs.add(event);
                    case "SparkListenerTaskEnd" -> tasks.add(event);
                    default -> {}
                }
            }
        }
        List<JsonNode> asked = jobs.stream()
                .filter(job ->
                        job.at("/Properties/spark.job.description").asText().equals("engines start"))
                .toList();
        assertThat(asked).hasSize(1);
        int stage = asked.get(0).at("/Stage IDs/0").asInt();
        assertThat(tasks.stream()
                        .filter(task -> task.get("Stage ID").asInt() == stage)
                        .map(task -> task.at("/Task Info/Executor ID").asText()))
                .containsExactlyInAnyOrder("0", "1");
        assertThat(asked.get(0).get("Job ID").asInt())
                .as("after the job that reads the schema")
                .isEqualTo(1);
    }

    /** Under /proc/self a path is another one for each process: here that of the driver and of executor 0 is there. */
    @Test
    void aModelThatOneExecutorCannotReachIsNamedWithTheExecutor() throws Exception {
        Set<Path> before = applications();
        CompletableFuture<Path> linked = CompletableFuture.supplyAsync(() -> linkModel(before));
        NosaProcess run = generate("/proc/self/cwd/a model", "unreached", TWO_EXECUTORS);
        assertThat(linked.get()).exists();
        assertThat(run.code()).as(run.err()).isEqualTo(Failures.BAD_USAGE);
        assertThat(run.err())
                .contains("the engine of executor 1 on host ", "could not be started: /proc/self/cwd/a model")
                .doesNotContain("the engine of executor 0");
        assertThat(folder.resolve("unreached")).doesNotExist();
    }

    /** As soon as executor 0 has its folder. */
    private Path linkModel(Set<Path> before) {
        long end = System.nanoTime() + TimeUnit.MINUTES.toNanos(2);
        while (System.nanoTime() < end) {
            try {
                Set<Path> ours = applications();
                ours.removeAll(before);
                for (Path application : ours) {
                    if (Files.isDirectory(application.resolve("0"))) {
                        return Files.createSymbolicLink(
                                application.resolve("0/a model"),
                                folder.resolve("a model").toRealPath());
                    }
                }
                Thread.sleep(5);
            } catch (IOException | InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
        throw new IllegalStateException("no executor came");
    }

    @Test
    void aUsageErrorComesBackThroughSparkSubmit() throws IOException, InterruptedException {
        NosaProcess run = NosaProcess.nosa(folder, "generate", "--modl=x");
        assertThat(run.code()).isEqualTo(2);
        assertThat(run.err()).contains("nosa: error: unknown option '--modl'; did you mean '--model'?");
    }

    @Test
    void theVersionIsTheBuilds() throws IOException, InterruptedException {
        NosaProcess run = NosaProcess.nosa(folder, "--version");
        assertThat(run.code()).isZero();
        assertThat(run.out()).matches("nosa \\d+\\.\\d+\\.\\d+.*\\s*");
    }

    /** All that does not depend on time, by id. */
    private List<Row> results(String output) throws IOException {
        return ResultFiles.read(
                folder.resolve(output),
                "id",
                "generation",
                "status",
                "error",
                "finish_reason",
                "prompt_tokens",
                "output_tokens",
                "usage.blocks_selected",
                "usage.blocks_missed");
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
