package dev.nosa.job;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * What planning, starting and resuming a run of many rows costs beside the engines, which a {@link StubJob} leaves out. Every
 * measurement has a JVM of its own, as a job has, with a heap that is set; the time counts from where its Spark session is there.
 * The repository's root is the folder to start it in:
 *
 * <pre>
 * java -cp 'job/target/test-classes:job/target/nosa-job.jar:job/target/spark/jars/*' dev.nosa.job.RunsBench --json FILE
 * </pre>
 */
@Command(name = "runs", mixinStandardHelpOptions = true)
public final class RunsBench implements Callable<Integer> {
    /** For what is not measured. */
    private static final String LARGE_HEAP = "4g";

    private static final List<String> KNOWN = List.of("small", "start", "resume", "waves");

    /** About as many rows as a wave of short documents has. */
    private static final long SMALL = 5000;

    private static final ObjectMapper JSON = new ObjectMapper();

    @Option(names = "--rows", defaultValue = "1000000")
    long rows;

    @Option(names = "--words", defaultValue = "60", description = "Of a text, in the mean")
    int words;

    @Option(names = "--files", defaultValue = "8", description = "Of the input")
    int files;

    @Option(names = "--wave-docs", defaultValue = "0", description = "As of the job: 0 is its default size")
    long waveDocs;

    @Option(names = "--pending", defaultValue = "3", description = "Waves that are not committed")
    int pending;

    @Option(names = "--heap", defaultValue = "1g")
    String heap;

    @Option(names = "--repeats", defaultValue = "5", description = "Of which the median counts")
    int repeats;

    @Option(
            names = "--round-trip",
            defaultValue = "0",
            description = "Milliseconds of a call to the output's file system")
    int roundTrip;

    @Option(
            names = "--what",
            split = ",",
            defaultValue = "small,start,resume",
            description = "Measurements: small, start, resume, waves")
    List<String> what;

    @Option(names = "--label", defaultValue = "", description = "Noted in the lines")
    String label;

    @Option(names = "--folder", description = "Input and output, which stay there (default: a new one in /tmp)")
    Path folder;

    @Option(names = "--json", description = "File that lines are added to")
    Path json;

    private String[] arguments;

    /** Runs all that is asked for. */
    public static void main(String[] args) {
        RunsBench bench = new RunsBench();
        bench.arguments = args;
        System.exit(new CommandLine(bench).execute(args));
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        if (folder == null) {
            folder = Files.createTempDirectory("nosa-runs");
        }
        Files.createDirectories(folder);
        Path input = input(rows);
        Path output = folder.resolve("output-" + rows + "-" + words + "-" + waveDocs);
        if (!Files.exists(output) && (what.contains("resume") || what.contains("waves"))) {
            job(LARGE_HEAP, "prepare", input, output);
        }
        Map<String, List<JsonNode>> runs = new LinkedHashMap<>();
        for (int i = 0; i < repeats; i++) {
            for (String each : what) { // in turn, since a shared machine's speed drifts
                JsonNode run = switch (each) {
                    case "small" -> job(heap, "start", input(SMALL), folder.resolve("fresh"));
                    case "start" -> job(heap, "start", input, folder.resolve("fresh"));
                    case "resume", "waves" -> job(heap, each, input, output);
                    default -> throw new IllegalArgumentException(each + "; known: " + KNOWN);
                };
                System.out.println(each + ": " + run);
                runs.computeIfAbsent(each, name -> new ArrayList<>()).add(run);
            }
        }
        for (Map.Entry<String, List<JsonNode>> each : runs.entrySet()) {
            report(each.getKey(), each.getValue());
        }
        return 0;
    }

    private Path input(long count) throws IOException, InterruptedException {
        Path input = folder.resolve("input-" + count + "-" + words);
        if (!Files.exists(input.resolve("_SUCCESS"))) {
            step(LARGE_HEAP, "input", input.toString(), "" + count, "" + words, "" + files);
        }
        return input;
    }

    private void report(String name, List<JsonNode> runs) throws IOException {
        if (name.equals("waves")) {
            report("a further wave", name, runs, run -> run.get("wave_s").asDouble());
        } else {
            report(
                    name + ": session to first document",
                    name,
                    runs,
                    run -> run.get("first_s").asDouble());
            report(
                    name + ": opening the folder to first document",
                    name,
                    runs,
                    run -> run.get("folder_s").asDouble());
        }
    }

    private void report(String name, String step, List<JsonNode> runs, ToDoubleFunction<JsonNode> value)
            throws IOException {
        List<Double> values = runs.stream().mapToDouble(value).sorted().boxed().toList();
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("what", name);
        line.put("rows", step.equals("small") ? SMALL : rows);
        if (step.equals("resume") || step.equals("waves")) {
            line.put("waves", runs.get(0).get("waves").asInt());
            line.put("pending", pending);
        } else {
            line.put("wave_docs", waveDocs);
        }
        line.put("s", values.get(values.size() / 2));
        line.put("all_s", values);
        line.put("words", words);
        line.put("round_trip_ms", roundTrip);
        line.put("heap", heap);
        line.put("version", label);
        line.put("machine", machine());
        line.put("java", System.getProperty("java.version"));
        line.put("date", LocalDate.now().toString());
        line.put("command", "dev.nosa.job.RunsBench " + String.join(" ", arguments));
        String text = JSON.writeValueAsString(line) + "\n";
        System.out.print(text);
        if (json != null) {
            Files.writeString(json, text, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        }
    }

    private static String machine() {
        long bytes = ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
                .getTotalMemorySize();
        return Runtime.getRuntime().availableProcessors() + " cores, " + Math.round(bytes / 1e9) + " GB";
    }

    private JsonNode job(String jvmHeap, String name, Path input, Path output)
            throws IOException, InterruptedException {
        return step(jvmHeap, name, input.toString(), output.toString(), "" + waveDocs, "" + pending, "" + roundTrip);
    }

    /** One step in a new JVM, as Spark's launcher would start it. */
    private JsonNode step(String jvmHeap, String... args) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin/java").toString(),
                "-Xmx" + jvmHeap,
                "-Dlog4j2.configurationFile=conf/log4j2.properties",
                "-Djdk.reflect.useDirectMethodHandle=false",
                "-Dio.netty.tryReflectionSetAccessible=true",
                "-cp",
                System.getProperty("java.class.path")));
        Stream.of("lang", "lang.invoke", "lang.reflect", "io", "net", "nio", "util", "util.concurrent")
                .map(each -> "--add-opens=java.base/java." + each + "=ALL-UNNAMED")
                .forEach(command::add);
        Stream.of("sun.nio.ch", "sun.nio.cs", "sun.security.action", "sun.util.calendar", "jdk.internal.ref")
                .map(each -> "--add-opens=java.base/" + each + "=ALL-UNNAMED")
                .forEach(command::add);
        command.add("dev.nosa.job.RunsBenchStep");
        command.addAll(List.of(args));
        Path out = folder.resolve("step.out");
        Path log = folder.resolve("step.log");
        Process process = new ProcessBuilder(command)
                .redirectOutput(out.toFile())
                .redirectError(Redirect.appendTo(log.toFile()))
                .start();
        if (process.waitFor() != 0) {
            throw new IOException(String.join(" ", args) + " failed: " + log);
        }
        return JSON.readTree(out.toFile());
    }
}
