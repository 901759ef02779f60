package dev.nosa.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Map;
import org.apache.spark.resource.ResourceInformation;
import org.junit.jupiter.api.Test;

class GpuAddressTest {
    @Test
    void theFirstAddressIsTheGpu() {
        assertThat(GpuAddress.of(gpus("3", "5"))).isEqualTo(3);
    }

    @Test
    void withoutGpusItIsTheFirst() {
        assertThat(GpuAddress.of(Map.of())).isZero();
        assertThat(GpuAddress.of(gpus())).isZero();
    }

    @Test
    void anAddressThatIsNoNumberIsNamed() {
        assertThatThrownBy(() -> GpuAddress.of(gpus("GPU-8f2c")))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("'GPU-8f2c' is no number");
    }

    private static Map<String, ResourceInformation> gpus(String... addresses) {
        return Map.of("gpu", new ResourceInformation("gpu", addresses));
    }
}
