package dev.nosa.job;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code nosa doctor}: what an executor would find, and what to change. */
@Command(
        name = "doctor",
        description =
                "Shows what this machine, or with --spark every executor, has for a run, and what has to be changed. Exit"
                        + " code 1 if the job could not run.",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        sortOptions = false,
        abbreviateSynopsis = true)
final class DoctorCommand implements Callable<Integer> {
    @Spec
    CommandSpec spec;

    @Mixin
    final CommonOptions common = new CommonOptions();

    @Option(names = "--model", paramLabel = "DIR", description = "Folder of a checkpoint to check too (default: none)")
    Path model;

    @Option(
            names = "--host-kv",
            paramLabel = "BYTES",
            defaultValue = "0",
            converter = ByteSize.class,
            description = "KV blocks in host memory as the job will have them (default: 0, not checked)")
    long hostKv;

    @Option(
            names = "--backend",
            paramLabel = "NAME",
            defaultValue = "auto",
            description = "auto, cpu or cuda; with cuda a GPU that cannot be used is a failure (default: auto)")
    String backend;

    @Option(names = "--spark", description = "Examine the executors of the cluster (--master), and not this process")
    boolean spark;

    @Override
    public Integer call() {
        if (!List.of("auto", "cpu", "cuda").contains(backend)) {
            throw new UsageException("backend = " + backend + ": must be auto, cpu or cuda", "--backend");
        }
        String folder = model == null ? null : model.toAbsolutePath().toString();
        Doctor doctor = new Doctor(folder, hostKv, backend);
        Map<String, List<HealthCheck>> reports = spark ? onExecutors(doctor) : Map.of("this process", doctor.examine());
        PrintWriter out = spec.commandLine().getOut();
        reports.forEach((place, checks) -> {
            out.println(place);
            table(checks).forEach(out::println);
        });
        out.flush();
        boolean failed = reports.values().stream()
                .flatMap(List::stream)
                .anyMatch(check -> check.level() == HealthCheck.Level.FAIL);
        return failed ? Failures.JOB_FAILED : 0;
    }

    private static Map<String, List<HealthCheck>> onExecutors(Doctor doctor) {
        boolean ownSession = SparkSession.getDefaultSession().isEmpty();
        SparkSession session = SparkSession.builder().appName("nosa doctor").getOrCreate();
        try {
            return ExecutorVisits.examine(session, doctor);
        } finally {
            if (ownSession) {
                session.stop();
            }
        }
    }

    private static Stream<String> table(List<HealthCheck> checks) {
        TextTable table = new TextTable("lll");
        for (HealthCheck check : checks) {
            table.add(List.of("  " + check.level().name().toLowerCase(Locale.ROOT), check.name(), check.text()));
        }
        return table.lines().stream();
    }
}
