package dev.nosa.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.nosa.backend.cpu.SgemmPeak;
import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.checkpoint.Checkpoints;
import dev.nosa.engine.EngineConfig;
import dev.nosa.model.ModelConfig;
import dev.nosa.model.ModelConfigParser;
import dev.nosa.runner.RunnerBench;
import dev.nosa.sparse.AttentionMode;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code nosa bench}: speeds of this machine, as a table and as JSON lines. */
@Command(
        name = "bench",
        description =
                "Measures prefill and decode of every attention mode on the CPU, of one mode on a GPU (--shape), the"
                        + " Spark job against the bare engine, or several prompts about one document.",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        sortOptions = false,
        abbreviateSynopsis = true)
final class BenchCommand implements Callable<Integer> {
    private static final int LARGE_BATCH = 8;
    private static final List<String> HALVES = List.of("auto", "always", "never");

    @Spec
    CommandSpec spec;

    @Mixin
    final CommonOptions common = new CommonOptions();

    @Option(
            names = "--model",
            paramLabel = "DIR",
            defaultValue = "sample-data/model",
            description = "Folder of the checkpoint (default: sample-data/model)")
    Path model;

    @Option(names = "--mode", paramLabel = "MODE", description = "Measure one attention mode (default: all)")
    String mode;

    @Option(
            names = "--context",
            paramLabel = "TOKENS",
            defaultValue = "4096",
            description = "Tokens of each prompt (default: 4096)")
    int context;

    @Option(
            names = "--new-tokens",
            paramLabel = "N",
            defaultValue = "64",
            description = "Decode steps of one measurement, and tokens a document with --spark (default: 64)")
    int newTokens;

    @Option(
            names = "--repeats",
            paramLabel = "N",
            defaultValue = "3",
            description = "Measurements, of which the median counts (default: 3)")
    int repeats;

    @Option(
            names = "--threads",
            paramLabel = "N",
            defaultValue = "0",
            description = "CPU threads (default: 0, all processors)")
    int threads;

    @Option(
            names = "--json",
            paramLabel = "FILE",
            description = "Write the measurements there too, one JSON object a line")
    Path json;

    @Option(
            names = "--shape",
            paramLabel = "NAME",
            description = "On a GPU: 8b or 1b, a NOSA model's shape with random weights, one mode (default: nosa)")
    String shape;

    @Option(
            names = "--batch",
            paramLabel = "N",
            defaultValue = "auto",
            description = "With --shape: sequences, or auto: as many as the memory holds (default: auto)")
    String batch;

    @Option(
            names = "--memory",
            paramLabel = "WHERE",
            defaultValue = "offload",
            description = "With --shape: offload or resident (default: offload)")
    String memory;

    @Option(
            names = "--slots",
            paramLabel = "N",
            defaultValue = "0",
            description = "With --shape: blocks on the device per sequence, layer and KV head (default: 0, what fits)")
    int slots;

    @Option(
            names = "--host-kv",
            paramLabel = "BYTES",
            defaultValue = "0",
            converter = ByteSize.class,
            description = "With --shape and --prompts: memory of the host tier (default: 0, what the machine has)")
    long hostKv;

    @Option(
            names = "--turnover",
            paramLabel = "M",
            split = ",",
            defaultValue = "-1",
            description =
                    "With --shape: blocks that each head replaces in each step, instead of those that random weights"
                            + " select (-1); several, with commas between: one after the other")
    List<Integer> turnovers;

    @Option(
            names = "--halves",
            paramLabel = "WHEN",
            split = ",",
            defaultValue = "auto",
            description =
                    "With --shape: auto, always or never: whether one half of the batch computes while the other's"
                            + " blocks are fetched; several as for --turnover (default: auto)")
    List<String> halves;

    @Option(names = "--spark", description = "Compare the Spark job with the bare engine over the documents of --input")
    boolean spark;

    @Option(
            names = "--input",
            paramLabel = "FILE",
            defaultValue = "sample-data/documents.parquet",
            description = "Parquet file of documents for --spark (default: sample-data/documents.parquet)")
    String input;

    @Option(
            names = "--prompts",
            paramLabel = "N",
            defaultValue = "0",
            description = "Compare N prompts about one document of --context tokens with one prompt")
    int prompts;

    @Option(
            names = "--load-format",
            paramLabel = "FORMAT",
            defaultValue = "auto",
            description = "With --prompts: auto, or dummy for random weights (default: auto)")
    String loadFormat;

    private final List<Map<String, Object>> measured = new ArrayList<>();

    @Override
    public Integer call() throws IOException {
        if (repeats < 1 || newTokens < 1 || context < 1) {
            throw new UsageException("--repeats, --new-tokens and --context must be 1 or more", "nosa bench");
        }
        if (turnovers.stream().anyMatch(blocks -> blocks < -1)) {
            throw new UsageException("must be -1 or more: " + turnovers, "--turnover");
        }
        if (!HALVES.containsAll(halves)) {
            throw new UsageException("unknown value in " + halves + "; known: " + HALVES, "--halves");
        }
        if (shape != null) {
            device();
        } else if (prompts > 0) {
            new PromptsBench(promptsConfig(), prompts, context, newTokens, repeats).run(this::report);
        } else if (spark) {
            new SparkBench(model, input, newTokens, repeats, threads).run(this::report);
        } else {
            modes();
        }
        if (json != null) {
            ObjectMapper mapper = new ObjectMapper();
            List<String> lines = new ArrayList<>();
            for (Map<String, Object> line : measured) {
                lines.add(mapper.writeValueAsString(line));
            }
            Files.write(json, lines);
        }
        return 0;
    }

    private void device() {
        boolean resident = memory.equals("resident");
        if (!resident && !memory.equals("offload")) {
            throw new UsageException("unknown place '" + memory + "'; known: offload, resident", "--memory");
        }
        if (resident && halves.contains("always")) {
            throw new UsageException("always needs blocks to fetch, of which --memory resident has none", "--halves");
        }
        AttentionMode asked = mode == null ? AttentionMode.NOSA : wantedModes().get(0);
        try {
            int sequences = batch.equals("auto") ? 0 : Integer.parseInt(batch);
            new DeviceBenchRun(
                            shape, asked, context, newTokens, repeats, sequences, resident, slots, hostKv, turnovers,
                            halves)
                    .run(this::report);
        } catch (NumberFormatException e) {
            throw new UsageException("'" + batch + "' is neither a number nor auto", "--batch", e);
        }
    }

    private EngineConfig promptsConfig() {
        try {
            return EngineConfig.builder(model)
                    .loadFormat(loadFormat)
                    .mode(mode == null ? null : wantedModes().get(0))
                    .maxContext(context + PromptsBench.OWN_TOKENS + newTokens)
                    .maxBatch(prompts + 1)
                    .threads(threads)
                    .hostKvBytes(hostKv)
                    .build();
        } catch (IllegalArgumentException e) {
            throw UsageException.of(e);
        }
    }

    private void modes() {
        try (Checkpoint checkpoint = Checkpoints.open(model)) {
            ModelConfig config = ModelConfigParser.parse(model, checkpoint);
            int workers = threads > 0 ? threads : Runtime.getRuntime().availableProcessors();
            RunnerBench.Plan plan = new RunnerBench.Plan(context, newTokens, repeats, LARGE_BATCH, workers);
            for (AttentionMode candidate : wantedModes()) {
                if (config.importance() || !candidate.usesImportance()) {
                    mode(config, checkpoint, candidate, plan);
                }
            }
        }
    }

    private List<AttentionMode> wantedModes() {
        try {
            return mode == null ? List.of(AttentionMode.values()) : List.of(AttentionMode.parse(mode));
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage(), "--mode", e);
        }
    }

    private void mode(ModelConfig config, Checkpoint checkpoint, AttentionMode mode, RunnerBench.Plan plan) {
        try (RunnerBench bench = new RunnerBench(config, mode, checkpoint, plan)) {
            Map<String, Object> labels = Map.of("mode", mode.configName(), "context", context);
            // Beside the prefill, since a shared machine's speed drifts.
            double peak = SgemmPeak.measure(plan.threads()).gigaflops();
            report("sgemm_peak", "gflops", peak, Map.of("threads", plan.threads()));
            RunnerBench.Prefill prefill = bench.prefill();
            report("prefill", "tokens_per_s", prefill.tokensPerSecond(), labels);
            double products = prefill.products().gigaflops();
            report("prefill_products", "gflops", products, with(labels, "share_of_peak", products / peak));
            RunnerBench.Decode one = bench.decode(1);
            RunnerBench.Decode many = bench.decode(LARGE_BATCH);
            for (RunnerBench.Decode decode : List.of(one, many)) {
                Map<String, Object> all = with(with(labels, "batch", decode.batch()), "turnover", decode.turnover());
                report("decode", "tokens_per_s", decode.tokensPerSecond(), all);
            }
            report("decode_batch_gain", "ratio", many.tokensPerSecond() / one.tokensPerSecond(), labels);
        }
    }

    private static Map<String, Object> with(Map<String, Object> labels, String key, Object value) {
        Map<String, Object> more = new LinkedHashMap<>(labels);
        more.put(key, value);
        return more;
    }

    /** Prints one measurement and keeps it for the file. */
    void report(String what, String unit, double value, Map<String, Object> labels) {
        PrintWriter out = spec.commandLine().getOut();
        StringBuilder text = new StringBuilder();
        labels.forEach((key, label) -> text.append("  ").append(key).append(' ').append(number(label)));
        out.printf(Locale.ROOT, "%-20s %10.2f %-13s%s%n", what, value, unit, text);
        out.flush();
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("what", what);
        line.put(unit, value);
        line.putAll(labels);
        line.put("model", shape == null ? model.toString() : "random weights");
        line.put("processors", Runtime.getRuntime().availableProcessors());
        line.put("java", System.getProperty("java.version"));
        line.put("date", LocalDate.now().toString());
        line.put("command", command());
        measured.add(line);
    }

    /** What to type for these figures, the choice of OpenBLAS's kernels included. */
    private String command() {
        String coreType = System.getenv("OPENBLAS_CORETYPE");
        return (coreType == null ? "" : "OPENBLAS_CORETYPE=" + coreType + " ")
                + "nosa bench" + (spark ? " --spark" : "") + (prompts == 0 ? "" : promptsCommand())
                + (mode == null ? "" : " --mode " + mode)
                + (shape == null ? "" : deviceCommand())
                + " --context " + context + " --new-tokens " + newTokens + " --repeats " + repeats;
    }

    private String promptsCommand() {
        return " --prompts " + prompts + (loadFormat.equals("auto") ? "" : " --load-format " + loadFormat)
                + (hostKv == 0 ? "" : " --host-kv " + hostKv);
    }

    private String deviceCommand() {
        return " --shape " + shape + " --batch " + batch + " --memory " + memory
                + (slots == 0 ? "" : " --slots " + slots)
                + (hostKv == 0 ? "" : " --host-kv " + hostKv)
                + " --turnover "
                + turnovers.stream().map(String::valueOf).collect(Collectors.joining(","))
                + " --halves " + String.join(",", halves);
    }

    private static String number(Object value) {
        return value instanceof Double real ? String.format(Locale.ROOT, "%.2f", real) : String.valueOf(value);
    }
}
