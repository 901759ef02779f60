package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;

class NosaConfTest {
    /** What a function sets itself, or has no use for. */
    private static final List<String> NO_OPTIONS = List.of(
            "textColumn",
            "idColumn",
            "errorColumn",
            "passThrough",
            "progress",
            "engine",
            "prompts",
            "promptColumns",
            "dedupe");

    private final SparkSession session = LocalSpark.session().newSession();

    @Test
    void everyMethodOfTheBuildersIsAnOption() {
        Set<String> methods = new TreeSet<>(Set.of(NosaConf.MODEL, NosaConf.FAIL_ON_ERROR));
        Stream.of(NosaBuilder.class, NosaGenerate.Builder.class)
                .flatMap(type -> Arrays.stream(type.getDeclaredMethods()))
                .filter(method -> Modifier.isPublic(method.getModifiers()) && method.getParameterCount() == 1)
                .forEach(method -> methods.add(method.getName()));
        NO_OPTIONS.forEach(methods::remove);

        assertThat(NosaConf.names(true)).containsExactlyElementsOf(methods);
    }

    @Test
    void aCallsOptionsGoOverTheSessionsInAnySpelling() {
        session.conf().set("spark.nosa.max-batch", "4");
        session.conf().set("spark.nosa.model", "m");
        NosaConf conf = NosaConf.ofSession(session);

        assertThat(conf.with(Map.of("MAX_BATCH", "8", "failOnError", "TRUE"), false)
                        .toMap())
                .isEqualTo(Map.of("maxBatch", "8", "model", "m", "failOnError", "TRUE"));
        assertThat(conf.failOnError()).isFalse();
        assertThat(conf.toMap()).isEqualTo(Map.of("maxBatch", "4", "model", "m"));
    }

    @Test
    void settingsOfTheClusterAreNoOptions() {
        PluginConf.CLUSTER_KEYS.forEach(key -> session.conf().set(key, "60s"));
        StageResources.KEYS.forEach(key -> session.conf().set(key, "x"));
        assertThat(NosaConf.ofSession(session).toMap()).isEmpty();
        session.conf().set("spark.nosa.log.intervall", "1s");
        assertThatThrownBy(() -> NosaConf.ofSession(session))
                .hasMessageStartingWith("there is no option spark.nosa.log.intervall; the nearest is spark.nosa.");
    }

    @Test
    void everyOptionReachesTheEngine() {
        NosaConf conf = NosaConf.ofSession(session)
                .with(
                        Map.ofEntries(
                                Map.entry("model", "m"),
                                Map.entry("backend", "cpu"),
                                Map.entry("mode", "full"),
                                Map.entry("loadFormat", "dummy"),
                                Map.entry("maxBatch", "3"),
                                Map.entry("maxStepTokens", "64"),
                                Map.entry("maxContext", "5000"),
                                Map.entry("memory", "resident"),
                                Map.entry("slots", "6"),
                                Map.entry("hostKv", "1m"),
                                Map.entry("deviceKv", "2k"),
                                Map.entry("kvDtype", "bf16"),
                                Map.entry("weightDtype", "bf16"),
                                Map.entry("threads", "7"),
                                Map.entry("queueCapacity", "8")),
                        false);

        EngineOptions engine = conf.generate().options(null, null).engine();

        assertThat(engine)
                .isEqualTo(new EngineOptions(
                        "m",
                        "dummy",
                        "cpu",
                        "full",
                        3,
                        64,
                        5000,
                        "resident",
                        6,
                        1 << 20,
                        2 << 10,
                        "bf16",
                        "bf16",
                        7,
                        8));
    }
}
