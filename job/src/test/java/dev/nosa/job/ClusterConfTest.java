package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import org.apache.spark.SparkConf;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The shipped properties files of clusters, read as spark-submit reads them. */
class ClusterConfTest {
    private static Path file(String cluster) {
        return Path.of("..", "conf", "spark-" + cluster + ".conf");
    }

    private static SparkConf load(String cluster) throws IOException {
        Properties properties = new Properties();
        try (Reader reader = Files.newBufferedReader(file(cluster))) {
            properties.load(reader);
        }
        SparkConf conf = new SparkConf(false);
        properties
                .stringPropertyNames()
                .forEach(key -> conf.set(key, properties.getProperty(key).trim()));
        return conf;
    }

    @ParameterizedTest
    @ValueSource(strings = {"standalone", "yarn", "kubernetes"})
    void anExecutorHasOneGpuThatAllItsTasksShare(String cluster) throws IOException {
        SparkConf conf = load(cluster);
        assertThat(conf.getInt("spark.executor.resource.gpu.amount", 0)).isEqualTo(1);
        double cores = conf.getInt("spark.executor.cores", 0);
        assertThat(conf.getDouble("spark.task.resource.gpu.amount", 0)).isEqualTo(1 / cores);
        assertThat(conf.get("spark.executorEnv.CUDA_DEVICE_ORDER")).isEqualTo("PCI_BUS_ID");
        assertThat(conf.get("spark.plugins")).isEqualTo("dev.nosa.spark.NosaPlugin");
        assertThat(conf.getBoolean("spark.decommission.enabled", false)).isTrue();
        assertThat(conf.getTimeAsSeconds("spark.nosa.log.interval")).isEqualTo(60);
        assertThat(conf.get("spark.metrics.conf.*.sink.prometheusServlet.class"))
                .isEqualTo("org.apache.spark.metrics.sink.PrometheusServlet");
    }

    @ParameterizedTest
    @ValueSource(strings = {"yarn", "kubernetes"})
    void theOverheadHoldsTheHostTierThatTheFileNames(String cluster) throws IOException {
        SparkConf conf = load(cluster);
        assertThat(conf.contains("spark.executor.resource.gpu.discoveryScript")).isTrue();
        assertThat(conf.getSizeAsGb("spark.executor.memoryOverhead")).isEqualTo(64 + 2);
        assertThat(Files.readString(file(cluster))).contains("--host-kv 64g", "--host-kv (64g) and 2g for the JVM");
    }

    @ParameterizedTest
    @ValueSource(strings = {"standalone", "yarn", "kubernetes"})
    void everySettingHasAComment(String cluster) throws IOException {
        List<String> lines = Files.readAllLines(file(cluster));
        for (int i = 0; i < lines.size(); i++) {
            if (lines.get(i).startsWith("spark.")) {
                assertThat(lines.get(i - 1)).as("above " + lines.get(i)).startsWith("# ");
            } else {
                assertThat(lines.get(i)).matches("|#.*");
            }
        }
    }
}
