package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.backend.cuda.HostLimits;
import dev.nosa.engine.EngineConfig;
import java.nio.file.Path;
import java.util.Optional;
import org.apache.spark.SparkConf;
import org.junit.jupiter.api.Test;

class ContainerMemoryTest {
    private static final long GIB = 1L << 30;

    private static SparkConf conf(String master, String... settings) {
        SparkConf conf = new SparkConf(false).set("spark.master", master);
        for (int i = 0; i < settings.length; i += 2) {
            conf.set(settings[i], settings[i + 1]);
        }
        return conf;
    }

    private static void check(SparkConf conf, long hostKv) {
        check(conf, hostKv, "auto");
    }

    private static void check(SparkConf conf, long hostKv, String backend) {
        EngineConfig engine = EngineConfig.builder(Path.of("m"))
                .hostKvBytes(hostKv)
                .backend(backend)
                .build();
        ContainerMemory.check(conf, StageResources.of(conf), EngineOptions.of(engine));
    }

    @Test
    void aHostTierBeyondTheOverheadIsRefusedWithTheValueToSet() {
        SparkConf conf = conf("yarn", "spark.executor.memoryOverhead", "32g");
        check(conf, 30 * GIB);
        assertThatThrownBy(() -> check(conf, 31 * GIB))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("host-kv: 31.0 GiB do not fit into an executor's container beside 2.0 GiB for the JVM:"
                        + " spark.executor.memoryOverhead is 32.0 GiB; set it to 33g or more, or --host-kv to at most"
                        + " 30.0 GiB");
    }

    @Test
    void withoutASettingTheOverheadIsSparksShareOfTheHeap() {
        assertThatThrownBy(() -> check(conf("k8s://https://api", "spark.executor.memory", "40g"), 3 * GIB))
                .hasMessageContaining("spark.executor.memoryOverhead is 4.0 GiB; set it to 5g or more");
        assertThatThrownBy(() -> check(conf("yarn"), GIB)).hasMessageContaining("is 384.0 MiB; set it to 3g or more");
        check(conf("yarn", "spark.executor.memory", "40g", "spark.executor.memoryOverheadFactor", "0.2"), 3 * GIB);
        check(conf("k8s://h", "spark.executor.memory", "40g", "spark.kubernetes.memoryOverheadFactor", "0.2"), 3 * GIB);
    }

    @Test
    void onYarnAnExecutorWithAGpuNeedsTheSize() {
        SparkConf conf =
                conf("yarn", "spark.executor.memoryOverhead", "10240", "spark.executor.resource.gpu.amount", "1");
        assertThatThrownBy(() -> check(conf, 0))
                .hasMessage("host-kv: an executor on YARN cannot see the limit of its container, so the size has to be"
                        + " given; spark.executor.memoryOverhead is 10.0 GiB, of which the JVM may need 2.0 GiB: set"
                        + " --host-kv to at most 8.0 GiB");
        check(conf, 0, "cpu");
        check(conf("yarn"), 0);
        check(conf("k8s://h", "spark.executor.resource.gpu.amount", "1"), 0);
    }

    @Test
    void otherClustersLimitNoExecutor() {
        check(conf("spark://host:7077"), 100 * GIB);
        check(conf("local[2]"), 100 * GIB);
    }

    @Test
    void executorsOfAStageHaveAnOverheadOfTheirOwn() {
        SparkConf conf = conf(
                "yarn",
                "spark.nosa.stageResources",
                "true",
                "spark.dynamicAllocation.enabled",
                "true",
                "spark.nosa.stage.memoryOverhead",
                "8g");
        check(conf, 6 * GIB);
        assertThatThrownBy(() -> check(conf, 7 * GIB))
                .hasMessageContaining("spark.nosa.stage.memoryOverhead is 8.0 GiB; set it to 9g or more");
    }

    @Test
    void anExecutorRefusesWhatItsContainerCannotHold() {
        HostLimits limits = new HostLimits(Optional.of(40 * GIB), "/sys/fs/cgroup/memory.max", GIB, 100 * GIB, "8192");
        ExecutorMemory memory = new ExecutorMemory(limits, 8 * GIB, 2 * GIB);
        memory.check(30 * GIB);
        memory.check(0);
        assertThatThrownBy(() -> memory.check(30 * GIB + 1))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageMatching("host-kv: 30\\.0 GiB do not fit on .*: its container has 40\\.0 GiB"
                        + " \\(/sys/fs/cgroup/memory\\.max\\), of which the Java heap takes 8\\.0 GiB and the JVM beside it"
                        + " 2\\.0 GiB; set spark\\.executor\\.memoryOverhead to 32769m or more, or --host-kv to at most"
                        + " 30\\.0 GiB");
    }

    @Test
    void anExecutorRefusesWhatItsMachineDoesNotHave() {
        ExecutorMemory memory =
                new ExecutorMemory(new HostLimits(Optional.empty(), "", 0, 5 * GIB, "unlimited"), GIB, 0);
        memory.check(5 * GIB);
        assertThatThrownBy(() -> memory.check(6 * GIB))
                .hasMessageMatching("host-kv: 6\\.0 GiB do not fit on .*: the machine has 5\\.0 GiB left; take a"
                        + " --host-kv below that, or a larger machine");
    }
}
