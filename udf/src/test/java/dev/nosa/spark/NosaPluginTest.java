package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.engine.EngineConfig;
import dev.nosa.spark.metrics.Metric;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The plugin in sessions of its own, where the driver is the executor. */
class NosaPluginTest {
    private static final String PROMETHEUS = "spark.metrics.conf.*.sink.prometheusServlet.";

    private SparkSession spark;

    @BeforeEach
    void forgetTheSharedSession() {
        SparkSession.getDefaultSession().foreach(session -> {
            session.stop();
            return null;
        });
        ExecutorEngine.close();
    }

    @AfterEach
    void stop() {
        if (spark != null) {
            spark.stop();
        }
        ExecutorEngine.close();
    }

    private static SparkSession.Builder session() {
        return SparkSession.builder()
                .master("local[2]")
                .config("spark.plugins", NosaPlugin.class.getName())
                .config("spark.ui.enabled", false)
                .config("spark.sql.shuffle.partitions", 2)
                .config("spark.driver.host", "localhost")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .config("spark.nosa.metrics.interval", "1s");
    }

    private static HostedModel start(EngineConfig config) {
        return new FakeEngine(200, true).hosted();
    }

    @Test
    void thePrometheusPageHasEveryMetricOfTheExecutorAndTheSums() throws IOException, InterruptedException {
        spark = session()
                .config("spark.ui.enabled", true)
                .config("spark.ui.port", 0)
                .config("spark.metrics.namespace", "nosa")
                .config(PROMETHEUS + "class", "org.apache.spark.metrics.sink.PrometheusServlet")
                .config(PROMETHEUS + "path", "/metrics/prometheus")
                .getOrCreate();
        double before = Metric.ALL.stream()
                .filter(metric -> metric.name().equals("documents"))
                .mapToDouble(metric ->
                        metric.getter().apply(ExecutorEngine.figures()).doubleValue())
                .sum();
        transformFive();

        String page = pageWith("total_documents_Number", before + 5);

        String prefix = "metrics_nosa_driver_plugin_dev_nosa_spark_NosaPlugin_";
        for (Metric metric : Metric.ALL) {
            assertThat(page).contains("\n" + prefix + metric.name() + "_Number{");
            assertThat(page).contains("\n" + prefix + "executor_driver_" + metric.name() + "_Number{");
        }
        assertThat(value(page, prefix + "executors_Number")).isEqualTo(1);
        assertThat(value(page, prefix + "running_Number")).isEqualTo(3);
        assertThat(value(page, prefix + "step_ms_Number")).isEqualTo(25);
        assertThat(value(page, prefix + "slots_Number")).isEqualTo(16);
        assertThat(value(page, prefix + "link_bytes_in_Number")).isEqualTo(4096);
        assertThat(value(page, prefix + "batch_max_Number")).isEqualTo(FakeEngine.MAX_BATCH);
    }

    private void transformFive() {
        NosaGenerate.builder("model")
                .starter(NosaPluginTest::start)
                .maxNewTokens(10)
                .build()
                .transform(spark.createDataFrame(
                        List.of(
                                RowFactory.create("a", "text", 0),
                                RowFactory.create("b", "text", 0),
                                RowFactory.create("c", null, 0),
                                RowFactory.create("d", "REFUSE", 0),
                                RowFactory.create("e", "x".repeat(900), 0)),
                        LocalSpark.DOCUMENTS))
                .collectAsList();
    }

    /** The page once a metric has a value, which comes with the next report to the driver. */
    private String pageWith(String metric, double value) throws IOException, InterruptedException {
        URI uri = URI.create(spark.sparkContext().uiWebUrl().get() + "/metrics/prometheus/");
        HttpClient client = HttpClient.newBuilder()
                .followRedirects(HttpClient.Redirect.NORMAL)
                .build();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        String page;
        do {
            TimeUnit.MILLISECONDS.sleep(100);
            page = client.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString())
                    .body();
        } while (System.nanoTime() < deadline
                && page.lines().noneMatch(line -> line.contains(metric) && last(line) == value));
        return "\n" + page;
    }

    private static double value(String page, String metric) {
        return page.lines()
                .filter(line -> line.startsWith(metric + "{"))
                .mapToDouble(NosaPluginTest::last)
                .findFirst()
                .orElseThrow(() -> new AssertionError(metric + " is not in " + page));
    }

    private static double last(String line) {
        return Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1));
    }

    @Test
    void aModelThatIsNotThereEndsTheSessionBeforeAnyTask() {
        assertThatThrownBy(() ->
                        session().config("spark.nosa.model", "/no/such/model").getOrCreate())
                .hasStackTraceContaining(
                        "spark.nosa.model = /no/such/model: /no/such/model: no such folder; a model is a"
                                + " folder with model.safetensors; the driver and every executor need the checkpoint under this"
                                + " path");
    }

    @Test
    void settingsThatMakeNoSenseEndTheSession() {
        assertThatThrownBy(() ->
                        session().config("spark.nosa.metrics.interval", "0s").getOrCreate())
                .hasStackTraceContaining("spark.nosa.metrics.interval = 0s: must be 1s or more");
        assertThatThrownBy(() -> session()
                        .config("spark.executor.resource.gpu.amount", 2)
                        .getOrCreate())
                .hasStackTraceContaining(
                        "spark.executor.resource.gpu.amount = 2: an executor has one engine on one GPU");
    }

    @Test
    void whatTheClusterCannotGiveIsRefusedBeforeATask() {
        spark = session().config("spark.nosa.stageResources", true).getOrCreate();
        String refusal = "spark.nosa.stageResources = true: local mode has one executor, the driver";
        EngineConfig engine = EngineConfig.builder(Path.of("model")).build();
        assertThatThrownBy(() -> ClusterCheck.check(spark.sparkContext(), engine))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith(refusal);
        assertThatThrownBy(this::transformFive)
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith(refusal);
    }

    @Test
    void coresThatWouldIdleAreNamed() {
        SparkConf conf = new SparkConf(false).set("spark.executor.cores", "3");
        assertThat(NosaDriverPlugin.idleCores(conf)).isEmpty();
        conf.set("spark.task.resource.gpu.amount", "0.3333");
        assertThat(NosaDriverPlugin.idleCores(conf)).isEmpty();
        conf.set("spark.task.resource.gpu.amount", "0.5");
        assertThat(NosaDriverPlugin.idleCores(conf))
                .contains(
                        "spark.task.resource.gpu.amount = 0.5 lets an executor run 2 of its 3 tasks at a time; set it to"
                                + " 1/cores, 0.3333");
    }

    @Test
    void everyMetricIsInTheDocumentation() throws IOException {
        String document = Files.readString(Path.of("..", "docs", "cluster.md"));
        for (Metric metric : Metric.ALL) {
            assertThat(document).contains("| `" + metric.name() + "` | " + metric.description() + " |");
        }
        for (String setting : List.of(
                PluginConf.MODEL,
                PluginConf.LOG_INTERVAL + "` | " + PluginConf.LOG_INTERVAL_DEFAULT,
                PluginConf.REPORT_INTERVAL + "` | " + PluginConf.REPORT_INTERVAL_DEFAULT)) {
            assertThat(document).contains("| `" + setting);
        }
    }
}
