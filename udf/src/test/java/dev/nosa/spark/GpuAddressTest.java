package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.function.MapFunction;
import org.apache.spark.resource.ResourceInformation;
import org.apache.spark.sql.Encoders;
import org.junit.jupiter.api.Test;

class GpuAddressTest {
    @Test
    void theFirstAddressIsTheGpu() {
        assertThat(GpuAddress.of(gpus("3", "5"), "executor")).isEqualTo(3);
    }

    @Test
    void withoutGpusItIsTheFirst() {
        assertThat(GpuAddress.of(Map.of(), "executor")).isZero();
        assertThat(GpuAddress.of(gpus(), "executor")).isZero();
    }

    @Test
    void anAddressThatIsNoNumberIsNamed() {
        assertThatThrownBy(() -> GpuAddress.of(gpus("GPU-8f2c"), "driver"))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("'GPU-8f2c' is no number")
                .hasMessageContaining("spark.driver.resource.gpu.discoveryScript");
    }

    @Test
    void inLocalModeATaskHasTheDriversGpu() {
        List<Integer> gpus = LocalSpark.session()
                .range(2)
                .map((MapFunction<Long, Integer>) row -> GpuAddress.ofThisTask(Map.of()), Encoders.INT())
                .collectAsList();
        assertThat(gpus).containsExactly(LocalSpark.GPU, LocalSpark.GPU);
    }

    @Test
    void tasksThatWouldWaitForEverAreRefused() {
        SparkConf conf = new SparkConf(false).set("spark.task.resource.gpu.amount", "0.25");
        GpuAddress.check(false, conf);
        GpuAddress.check(true, new SparkConf(false));
        GpuAddress.check(true, new SparkConf(false).set("spark.task.resource.gpu.amount", "0"));
        assertThatThrownBy(() -> GpuAddress.check(true, conf))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage(
                        "local mode has no GPUs for tasks, so with spark.task.resource.gpu.amount = 0.25 none would ever"
                                + " start; give the driver its GPU instead: spark.driver.resource.gpu.amount=1 and"
                                + " spark.driver.resource.gpu.discoveryScript");
    }

    @Test
    void executorsWithSeveralGpusAreRefused() {
        SparkConf conf = new SparkConf(false).set("spark.executor.resource.gpu.amount", "2");
        assertThatThrownBy(() -> GpuAddress.check(false, conf))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage(
                        "spark.executor.resource.gpu.amount = 2: an executor has one engine on one GPU, so the others"
                                + " would idle; set it to 1, and start as many executors as there are GPUs");
    }

    private static Map<String, ResourceInformation> gpus(String... addresses) {
        return Map.of("gpu", new ResourceInformation("gpu", addresses));
    }
}
