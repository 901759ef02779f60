package dev.nosa.spark;

import static java.util.Map.entry;

import dev.nosa.checkpoint.SimilarNames;
import dev.nosa.sparse.AttentionMode;
import java.io.Serializable;
import java.util.Collection;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.BiConsumer;
import org.apache.spark.sql.SparkSession;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Options by name, for SQL: those of a call over the session's {@code spark.nosa.NAME}. What neither names has the default of
 * {@link NosaGenerate.Builder} and {@link NosaScore.Builder}, whose methods give the names ({@code maxNewTokens}); the command
 * line's spelling ({@code max-new-tokens}) is taken too. Immutable.
 */
public final class NosaConf implements Serializable {
    /** What the session's options begin with. */
    public static final String PREFIX = "spark.nosa.";
    /** Folder of the checkpoint, the same on every executor. No default. */
    public static final String MODEL = "model";
    /** Whether an error of a row fails the query. */
    public static final String FAIL_ON_ERROR = "failOnError";

    public static final boolean FAIL_ON_ERROR_DEFAULT = false;

    private static final long serialVersionUID = 1L;
    private static final String TEXT = "text";

    private static final Map<String, BiConsumer<NosaBuilder<?>, NosaOption>> SHARED = Map.ofEntries(
            entry("prompt", (builder, option) -> builder.prompt(promptOfText(option))),
            entry("system", (builder, option) -> builder.system(option.value())),
            entry("useChatTemplate", (builder, option) -> builder.useChatTemplate(option.asBoolean())),
            entry("onTooLong", (builder, option) -> builder.onTooLong(OnTooLong.parse(option.value()))),
            entry("loadFormat", (builder, option) -> builder.loadFormat(option.value())),
            entry("backend", (builder, option) -> builder.backend(option.value())),
            entry("mode", (builder, option) -> builder.mode(AttentionMode.parse(option.value()))),
            entry("maxBatch", (builder, option) -> builder.maxBatch(option.asInt())),
            entry("maxStepTokens", (builder, option) -> builder.maxStepTokens(option.asInt())),
            entry("maxContext", (builder, option) -> builder.maxContext(option.asInt())),
            entry("memory", (builder, option) -> builder.memory(option.value())),
            entry("slots", (builder, option) -> builder.slots(option.asInt())),
            entry("hostKv", (builder, option) -> builder.hostKv(option.asBytes())),
            entry("deviceKv", (builder, option) -> builder.deviceKv(option.asBytes())),
            entry("kvDtype", (builder, option) -> builder.kvDtype(option.value())),
            entry("weightDtype", (builder, option) -> builder.weightDtype(option.value())),
            entry("threads", (builder, option) -> builder.threads(option.asInt())),
            entry("queueCapacity", (builder, option) -> builder.queueCapacity(option.asInt())));

    private static final Map<String, BiConsumer<NosaGenerate.Builder, NosaOption>> GENERATION = Map.ofEntries(
            entry("maxNewTokens", (builder, option) -> builder.maxNewTokens(option.asInt())),
            entry("temperature", (builder, option) -> builder.temperature(option.asFloat())),
            entry("topK", (builder, option) -> builder.topK(option.asInt())),
            entry("topP", (builder, option) -> builder.topP(option.asFloat())),
            entry("repetitionPenalty", (builder, option) -> builder.repetitionPenalty(option.asFloat())),
            entry("seed", (builder, option) -> builder.seed(option.asLong())),
            entry("stop", (builder, option) -> builder.stop(option.value())),
            entry("stopTokens", (builder, option) -> builder.stopTokens(option.asInts())));

    private final TreeMap<String, NosaOption> options;

    private NosaConf(TreeMap<String, NosaOption> options) {
        this.options = options;
    }

    /**
     * The session's options.
     *
     * @throws IllegalArgumentException if a key that begins with {@link #PREFIX} is unknown
     */
    public static NosaConf ofSession(SparkSession spark) {
        NosaConf conf = new NosaConf(new TreeMap<>());
        CollectionConverters.asJava(spark.conf().getAll()).forEach((key, value) -> {
            boolean ofCluster = PluginConf.CLUSTER_KEYS.contains(key) || StageResources.KEYS.contains(key);
            if (key.startsWith(PREFIX) && !ofCluster) {
                conf.add(PREFIX, key.substring(PREFIX.length()), value, names(true));
            }
        });
        return conf;
    }

    /**
     * These, and over them the options of one call.
     *
     * @param generates whether the options of generation are allowed
     * @throws IllegalArgumentException if one is unknown, with the nearest known name
     */
    public NosaConf with(Map<String, String> call, boolean generates) {
        NosaConf conf = new NosaConf(new TreeMap<>(options));
        call.forEach((name, value) -> conf.add("", name, value, names(generates)));
        return conf;
    }

    /** Known names, in alphabetical order. */
    public static Set<String> names(boolean generates) {
        Set<String> names = new TreeSet<>(SHARED.keySet());
        names.addAll(Set.of(MODEL, FAIL_ON_ERROR));
        names.addAll(generates ? GENERATION.keySet() : Set.of());
        return names;
    }

    private void add(String prefix, String name, String value, Collection<String> known) {
        String canonical = known.stream()
                .filter(option -> letters(option).equals(letters(name)))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("there is no option " + prefix + name
                        + "; the nearest is " + prefix
                        + SimilarNames.of(name, known, 1).get(0) + ", the options are " + String.join(", ", known)));
        options.put(canonical, new NosaOption(prefix + name, value));
    }

    private static String letters(String name) {
        return name.replaceAll("[-_]", "").toLowerCase(Locale.ROOT);
    }

    /** The options by name, as they were given. */
    public Map<String, String> toMap() {
        Map<String, String> values = new TreeMap<>();
        options.forEach((name, option) -> values.put(name, option.value()));
        return values;
    }

    /**
     * Folder of the checkpoint.
     *
     * @throws IllegalArgumentException if none is set
     */
    public String model() {
        NosaOption model = options.get(MODEL);
        if (model == null || model.value().isBlank()) {
            throw new IllegalArgumentException("no model: set " + PREFIX + MODEL + " to the folder of a checkpoint");
        }
        return model.value();
    }

    public boolean failOnError() {
        NosaOption fail = options.get(FAIL_ON_ERROR);
        return fail == null ? FAIL_ON_ERROR_DEFAULT : fail.asBoolean();
    }

    /** A builder with these options, and {@code text} as its text column. */
    public NosaGenerate.Builder generate() {
        NosaGenerate.Builder builder = NosaGenerate.builder(model());
        apply(SHARED, builder);
        apply(GENERATION, builder);
        return builder.textColumn(TEXT);
    }

    /** A builder with these options, and {@code text} as its text column. */
    public NosaScore.Builder score() {
        NosaScore.Builder builder = NosaScore.builder(model());
        apply(SHARED, builder);
        return builder.textColumn(TEXT);
    }

    private <B> void apply(Map<String, BiConsumer<B, NosaOption>> setters, B builder) {
        options.forEach((name, option) -> {
            BiConsumer<B, NosaOption> setter = setters.get(name);
            if (setter != null) {
                setter.accept(builder, option);
            }
        });
    }

    private static String promptOfText(NosaOption option) {
        Set<String> columns = PromptTemplate.parse(option.value()).columns();
        if (!columns.equals(Set.of(TEXT))) {
            throw new IllegalArgumentException(option.name() + " = " + option.value()
                    + ": must refer to {text}, the function's argument, and to nothing else");
        }
        return option.value();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof NosaConf conf && options.equals(conf.options);
    }

    @Override
    public int hashCode() {
        return Objects.hash(options);
    }
}
