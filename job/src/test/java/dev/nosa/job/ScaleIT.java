package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code bench/scale.sh} on a standalone cluster with the CPU backend, and a discovery script that makes up GPUs. */
class ScaleIT {
    private static final Path SCALE = NosaProcess.ROOT.resolve("bench/scale.sh");
    private static final Pattern ENGINE =
            Pattern.compile("Engine of this JVM \\(process (\\d+)\\) started in .* device=(\\d+),");

    @TempDir
    Path folder;

    @BeforeEach
    void discoveryScript() throws IOException {
        Path script = folder.resolve("find-gpus");
        Files.writeString(
                script, "#!/bin/sh\necho '{\"name\": \"gpu\", \"addresses\": [\"0\", \"1\", \"2\", \"3\"]}'\n");
        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwx------"));
    }

    private JsonNode scale(String... options) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(
                SCALE.toString(),
                "--cores",
                "1",
                "--heap",
                "1g",
                "--discovery",
                folder.resolve("find-gpus").toString(),
                "--folder",
                folder.resolve("runs").toString()));
        command.addAll(List.of(options));
        command.addAll(List.of("--", "--backend", "cpu", "--threads", "1"));
        NosaProcess run = NosaProcess.run(folder, Map.of(), command);
        assertThat(run.code()).as(run.err()).isZero();
        return new ObjectMapper().readTree(run.out());
    }

    /** Process and GPU of each engine that an executor's log names. */
    private List<int[]> engines(String run) throws IOException {
        List<int[]> engines = new ArrayList<>();
        try (Stream<Path> files = Files.walk(folder.resolve("runs").resolve(run).resolve("executors"))) {
            for (Path log : files.filter(file -> file.endsWith("stderr")).toList()) {
                Matcher line = ENGINE.matcher(Files.readString(log));
                int count = 0;
                while (line.find()) {
                    engines.add(new int[] {Integer.parseInt(line.group(1)), Integer.parseInt(line.group(2))});
                    count++;
                }
                assertThat(count).as("engines in %s", log).isLessThanOrEqualTo(1);
            }
        }
        return engines;
    }

    @Test
    void eachOfFourExecutorsHasAGpuAndAnEngineOfItsOwn() throws IOException, InterruptedException {
        String config =
                NosaProcess.ROOT.resolve("sample-data/model/config.json").toString();
        JsonNode line = scale(
                "--config", config, "--executors", "4", "--documents", "2", "--tokens", "300", "--new-tokens", "4");
        Set<Integer> processes = new HashSet<>();
        Set<Integer> gpus = new HashSet<>();
        for (int[] engine : engines("growing-4")) {
            processes.add(engine[0]);
            gpus.add(engine[1]);
        }
        assertThat(processes).hasSize(4);
        assertThat(gpus).containsExactlyInAnyOrder(0, 1, 2, 3);
        assertThat(line.get("gpus").toString()).isEqualTo("[0,1,2,3]");
        assertThat(line.get("engines").asInt()).isEqualTo(4);
        assertThat(line.get("documents").asInt()).isEqualTo(8);
        assertThat(line.get("prompt_tokens").asInt()).isEqualTo(8 * 300);
        assertThat(line.get("tokens_per_s").asDouble()).isPositive();
    }

    @Test
    void optionsThatMakeNoSenseAreNamed() throws IOException, InterruptedException {
        assertThat(error("--executor", "2")).isEqualTo("scale: error: unknown option '--executor'\n");
        assertThat(error("--tokens")).isEqualTo("scale: error: a value is missing (--tokens)\n");
        assertThat(error("--executors", "1,two")).isEqualTo("scale: error: 'two' is no number from 1 on\n");
        assertThat(error("--work", "half"))
                .isEqualTo("scale: error: unknown work 'half'; known: growing, fixed (--work)\n");
        assertThat(error("--heap", "800m"))
                .isEqualTo("scale: error: '800m' is no number of gibibytes such as 8g (--heap)\n");
        assertThat(error("--config", "nowhere.json")).isEqualTo("scale: error: no nowhere.json (--config)\n");
    }

    private String error(String... options) throws IOException, InterruptedException {
        NosaProcess run = NosaProcess.run(folder, Map.of(), NosaProcess.join(SCALE, options));
        assertThat(run.code()).isEqualTo(2);
        return run.err();
    }

    @Test
    void aKilledExecutorsDocumentsAreDoneByTheOthers() throws IOException, InterruptedException {
        JsonNode line = scale(
                "--executors",
                "2",
                "--work",
                "fixed",
                "--documents",
                "10",
                "--tokens",
                "900",
                "--new-tokens",
                "40",
                "--kill-after",
                "1");
        assertThat(line.get("killed").asInt()).isPositive();
        assertThat(Files.readString(folder.resolve("runs/fixed-2/job.err"))).contains("Lost executor");
        assertThat(line.get("documents").asInt()).isEqualTo(10); // the script fails where one is in error
        assertThat(line.get("prompt_tokens").asInt()).isEqualTo(10 * 900);
        assertThat(ResultFiles.read(folder.resolve("runs/fixed-2/output"), "id"))
                .as("each document once")
                .extracting(row -> row.getString(0))
                .isEqualTo(IntStream.range(0, 10)
                        .mapToObj(number -> String.format("d%05d", number))
                        .toList());
    }
}
