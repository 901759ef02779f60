package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.apache.spark.SparkConf;
import org.apache.spark.resource.ExecutorResourceRequest;
import org.apache.spark.resource.ResourceProfile;
import org.junit.jupiter.api.Test;

class StageResourcesTest {
    private static SparkConf conf(String master) {
        return new SparkConf(false)
                .set("spark.master", master)
                .set("spark.nosa.stageResources", "true")
                .set("spark.dynamicAllocation.enabled", "true");
    }

    @Test
    void withoutTheSettingThereIsNoProfile() {
        assertThat(StageResources.of(new SparkConf(false).set("spark.master", "yarn")))
                .isEmpty();
    }

    @Test
    void anExecutorOfTheStageHasOneGpuThatItsTasksShare() {
        SparkConf conf = conf("k8s://h")
                .set("spark.executor.cores", "2")
                .set("spark.nosa.stage.cores", "4")
                .set("spark.nosa.stage.memory", "8g")
                .set("spark.nosa.stage.memoryOverhead", "66g")
                .set("spark.nosa.stage.gpu.discoveryScript", "/app/find-gpus.sh")
                .set("spark.nosa.stage.gpu.vendor", "nvidia.com");
        ResourceProfile profile = StageResources.of(conf).orElseThrow().profile();
        ExecutorResourceRequest gpu = profile.executorResourcesJMap().get("gpu");
        assertThat(gpu.amount()).isEqualTo(1);
        assertThat(gpu.discoveryScript()).isEqualTo("/app/find-gpus.sh");
        assertThat(gpu.vendor()).isEqualTo("nvidia.com");
        assertThat(profile.executorResourcesJMap().get("cores").amount()).isEqualTo(4);
        assertThat(profile.executorResourcesJMap().get("memory").amount()).isEqualTo(8 * 1024);
        assertThat(profile.executorResourcesJMap().get("memoryOverhead").amount())
                .isEqualTo(66 * 1024);
        assertThat(profile.taskResourcesJMap().get("gpu").amount()).isEqualTo(0.25);
    }

    @Test
    void theSameSettingsGiveTheSameProfileSoThatItsExecutorsStay() {
        SparkConf conf = conf("yarn").set("spark.nosa.stage.cores", "3");
        assertThat(StageResources.of(conf).orElseThrow().profile())
                .isSameAs(StageResources.of(conf.clone()).orElseThrow().profile());
    }

    @Test
    void whatSparkCouldNotGiveIsRefused() {
        assertThatThrownBy(() -> StageResources.of(conf("local[2]")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage(
                        "spark.nosa.stageResources = true: local mode has one executor, the driver; take a cluster, or"
                                + " leave it out");
        assertThatThrownBy(() -> StageResources.of(conf("yarn").set("spark.dynamicAllocation.enabled", "false")))
                .hasMessageContaining("set spark.dynamicAllocation.enabled=true");
        assertThatThrownBy(() -> StageResources.of(conf("yarn").set("spark.executor.resource.gpu.amount", "1")))
                .hasMessageContaining(
                        "with spark.executor.resource.gpu.amount = 1 all executors would hold GPUs; leave");
        assertThatThrownBy(() -> StageResources.of(conf("yarn").set("spark.nosa.stage.cores", "0")))
                .hasMessage("spark.nosa.stage.cores = 0: must be 1 or more");
    }
}
