package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.backend.cuda.HostLimits;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class DoctorTest extends JobFixture {
    private static CommandRun doctor(String... options) {
        String[] args = new String[options.length + 1];
        args[0] = "doctor";
        System.arraycopy(options, 0, args, 1, options.length);
        return CommandRun.of(args);
    }

    @Test
    void thisProcessIsExamined() {
        CommandRun run = doctor("--backend=cpu", "--model=" + model, "--host-kv=1m");
        assertThat(run.code()).as(run.out()).isZero();
        assertThat(run.out().lines()).first().isEqualTo("this process");
        assertThat(run.out())
                .containsPattern(
                        "  ok +Java +" + System.getProperty("java.version").replace(".", "\\.") + " ")
                .containsPattern("  ok +versions +nosa .*, Spark 4\\.2\\.\\d+, Scala 2\\.13")
                .containsPattern("  ok +temporary files +/")
                .containsPattern("  ok +memory +the machine has [\\d.]+ GiB left, ")
                .containsPattern(
                        "  ok +memlock +\\S+ \\(ulimit -l\\), which does not limit the memory that the driver pins")
                .containsPattern("  ok +host-kv +1\\.0 MiB fit")
                .containsPattern("  ok +GPU +not looked for \\(--backend cpu\\)")
                .containsPattern("  ok +model +" + model + ": 2 layers, mode nosa; on a GPU its longest document, 600"
                        + " tokens, takes .* of host memory");
    }

    @Test
    void whereThereIsNoGpuTheReportSaysWhatIsMissing() {
        CommandRun auto = doctor();
        assertThat(auto.code()).as(auto.out()).isZero();
        assertThat(auto.out())
                .containsPattern("  (ok|warn) +kernels +(compiled by nvcc|this build has no CUDA kernels)");
        assertThat(auto.out()).containsPattern("  (ok|warn) +driver +");
        CommandRun cuda = doctor("--backend=cuda");
        assertThat(cuda.code()).isEqualTo(auto.out().contains("  warn") ? 1 : 0);
        assertThat(auto.out()
                        .replace("; until then the job runs on the CPU", "")
                        .replace("  warn", "  fail"))
                .isEqualTo(cuda.out().replace("; or take --backend cpu", ""));
    }

    @Test
    void whatTheJobCouldNotRunWithFailsWithTheRemedy() {
        CommandRun run = doctor("--model=/no/such/model", "--host-kv=1024t");
        assertThat(run.code()).isEqualTo(1);
        assertThat(run.out())
                .containsPattern(
                        "  fail +model +/no/such/model: no such folder; .*executors need the checkpoint under the"
                                + " same path as the driver")
                .containsPattern("  fail +host-kv +host-kv: 1024\\.0 TiB do not fit on .*: ");
    }

    @Test
    void everyExecutorIsExamined() {
        CommandRun run = doctor("--spark", "--backend=cpu");
        assertThat(run.code()).as(run.out()).isZero();
        assertThat(run.out().lines().filter(line -> !line.startsWith(" ")))
                .containsExactly("executor driver on host localhost");
        assertThat(run.out()).containsPattern("  ok +Java ");
    }

    @Test
    void anUnknownBackendIsAUsageError() {
        assertThat(doctor("--backend=gpu").usageError())
                .isEqualTo("nosa: error: backend = gpu: must be auto, cpu or cuda (--backend)");
    }

    @Test
    void aHeapThatFillsTheContainerIsAFailure() {
        HealthCheck check = Doctor.memory(
                new HostLimits(Optional.of(1L << 20), "/sys/fs/cgroup/memory.max", 1 << 19, 1L << 30, "8192"));
        assertThat(check.level()).isEqualTo(HealthCheck.Level.FAIL);
        assertThat(check.text())
                .startsWith("the machine has 1.0 GiB left, the container may use 1.0 MiB and uses 512.0 KiB"
                        + " (/sys/fs/cgroup/memory.max), but the Java heap alone may grow to ")
                .endsWith("; take a smaller heap (spark.executor.memory) or a larger container");
    }

    @Test
    void aTemporaryFolderThatCannotBeWrittenIsAFailure() {
        HealthCheck check = Doctor.temporaryFolder(Path.of("/no/such/folder"));
        assertThat(check.level()).isEqualTo(HealthCheck.Level.FAIL);
        assertThat(check.text())
                .isEqualTo("/no/such/folder cannot be written (NoSuchFileException), and native libraries are unpacked"
                        + " there; set another folder with -Djava.io.tmpdir (spark.executor.extraJavaOptions)");
    }
}
