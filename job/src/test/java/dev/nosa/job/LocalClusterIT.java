package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
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

    @TempDir
    Path folder;

    /** Runs bin/nosa through a link, from another folder than the repository's, with names that a shell would split. */
    private NosaProcess generate(String output, String... sparkOptions) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(folder.resolve("a link").toString(), "generate"));
        command.addAll(List.of(sparkOptions));
        command.addAll(List.of(
                "--model=a model",
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
        Files.createSymbolicLink(folder.resolve("a link"), NosaProcess.NOSA);
        Files.createSymbolicLink(folder.resolve("a model"), NosaProcess.ROOT.resolve("sample-data/model"));
        Files.copy(NosaProcess.ROOT.resolve("sample-data/documents.parquet"), folder.resolve("the documents.parquet"));

        NosaProcess local = generate("local", "--master", "local[2]");
        assertThat(local.code()).as(local.err()).isZero();
        assertThat(local.err()).doesNotContain("incubator", "NativeCodeLoader", "CudaUtils", "Versions of", "\tat ");

        Set<Path> before = applications();
        NosaProcess cluster = generate(
                "cluster",
                "--master",
                "local-cluster[2,1,2048]",
                "--conf",
                "spark.scheduler.minRegisteredResourcesRatio=1.0",
                "--conf",
                "spark.scheduler.maxRegisteredResourcesWaitingTime=120s");
        assertThat(cluster.code()).as(cluster.err()).isZero();
        assertThat(cluster.out()).contains(DOCUMENTS + ": 0 ok, " + DOCUMENTS + " truncated, 0 errors");

        assertThat(results("cluster")).hasSize(DOCUMENTS).isEqualTo(results("local"));
        Set<Path> ours = applications();
        ours.removeAll(before);
        assertThat(ours).hasSize(1);
        assertOneEngineAnExecutor(ours.iterator().next());
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
        try (SparkSession spark = SparkSession.builder()
                .master("local[1]")
                .config("spark.ui.enabled", false)
                .config("spark.driver.host", "localhost")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .getOrCreate()) {
            return spark.read()
                    .parquet(folder.resolve(output).toString())
                    .select(
                            "id",
                            "generation",
                            "status",
                            "error",
                            "finish_reason",
                            "prompt_tokens",
                            "output_tokens",
                            "usage.blocks_selected",
                            "usage.blocks_missed")
                    .orderBy("id")
                    .collectAsList();
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
