package dev.nosa.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.nosa.checkpoint.CheckpointException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.function.IntToDoubleFunction;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RopeScalingTest {
    private static final int HEAD_DIM = 64;
    private static final String ONES = factors("1.0");
    private static final String TWOS = factors("2.0");

    @TempDir
    Path dir;

    private ConfigFixture config;

    @BeforeEach
    void validConfig() {
        config = new ConfigFixture(dir);
    }

    @Test
    void withoutScaling() {
        RopeConfig rope = config.parse().rope();

        assertFrequencies(rope, i -> plain(10000, i));
        assertThat(rope.attentionFactor()).isEqualTo(1);
    }

    @Test
    void ropeTheta() {
        assertFrequencies(config.with("rope_theta", "500000.0").parse().rope(), i -> plain(500000, i));
    }

    @ParameterizedTest
    @ValueSource(strings = {"rope_type", "type"})
    void linear(String typeKey) {
        config.with("rope_scaling", "{\"" + typeKey + "\":\"linear\",\"factor\":4.0}");

        assertFrequencies(config.parse().rope(), i -> plain(10000, i) / 4);
    }

    @Test
    void ropeParametersOfTransformers5() {
        config.with("rope_parameters", "{\"rope_type\":\"linear\",\"factor\":2.0,\"rope_theta\":1000.0}");

        assertFrequencies(config.parse().rope(), i -> plain(1000, i) / 2);
    }

    @Test
    void ropeParametersWithoutAType() {
        config.with("rope_parameters", "{\"rope_theta\":1000.0}");

        assertFrequencies(config.parse().rope(), i -> plain(1000, i));
    }

    @Test
    void llama3() {
        config.with("rope_theta", "500000.0").with("rope_scaling", """
                        {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 8192}
                        """);

        assertFrequencies(config.parse().rope(), i -> {
            double frequency = plain(500000, i);
            double wavelength = 2 * Math.PI / frequency;
            if (wavelength > 8192 / 1.0) {
                return frequency / 8;
            }
            if (wavelength < 8192 / 4.0) {
                return frequency;
            }
            double smooth = (8192 / wavelength - 1) / (4 - 1);
            return (1 - smooth) * frequency / 8 + smooth * frequency;
        });
    }

    @Test
    void longropeBeyondTheOriginalContextTakesTheLongFactors() {
        config.with("max_position_embeddings", "16384").with("rope_scaling", longrope("4096", ""));

        RopeConfig rope = config.parse().rope();

        assertFrequencies(rope, i -> plain(10000, i) / 2);
        assertThat(rope.attentionFactor())
                .isEqualTo((float) Math.sqrt(1 + Math.log(4) / Math.log(4096)), within(1e-6f));
    }

    @Test
    void longropeWithinTheOriginalContextTakesTheShortFactors() {
        config.with("rope_scaling", longrope("4096", ""));

        RopeConfig rope = config.parse().rope();

        assertFrequencies(rope, i -> plain(10000, i));
        assertThat(rope.attentionFactor()).isEqualTo(1);
    }

    @Test
    void longropeReadsTheOriginalContextBesideTheScaling() {
        config.with("max_position_embeddings", "8192")
                .with("original_max_position_embeddings", "4096")
                .with(
                        "rope_scaling",
                        "{\"type\":\"longrope\",\"short_factor\":%s,\"long_factor\":%s}".formatted(ONES, TWOS));

        assertFrequencies(config.parse().rope(), i -> plain(10000, i) / 2);
    }

    @Test
    void longropeWithAnExplicitFactor() {
        config.with("max_position_embeddings", "16384").with("rope_scaling", longrope("4096", ",\"factor\":16.0"));

        assertThat(config.parse().rope().attentionFactor())
                .isEqualTo((float) Math.sqrt(1 + Math.log(16) / Math.log(4096)), within(1e-6f));
    }

    @Test
    void longropeWithAnExplicitAttentionFactor() {
        config.with("max_position_embeddings", "16384")
                .with("rope_scaling", longrope("4096", ",\"attention_factor\":1.25"));

        assertThat(config.parse().rope().attentionFactor()).isEqualTo(1.25f);
    }

    @Test
    void longropeFactorsOfAnotherHeadDim() {
        config.with("head_dim", "128").with("rope_scaling", longrope("4096", ""));

        assertThatThrownBy(() -> config.parse())
                .isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll(
                        "config.json: rope_scaling.short_factor = [1.0,1.0,", "must be an array of 64 numbers");
    }

    @Test
    void unsupportedTypeListsTheKnown() {
        config.with("rope_scaling", "{\"rope_type\":\"yarn\",\"factor\":4.0}");

        assertThatThrownBy(() -> config.parse())
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("config.json: rope_scaling.rope_type = \"yarn\": not supported; known: default,"
                        + " linear, llama3, longrope");
    }

    @Test
    void scalingWithoutAType() {
        config.with("rope_scaling", "{\"factor\":4.0}");

        assertThatThrownBy(() -> config.parse())
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("config.json: rope_scaling.rope_type is missing: must be one of default");
    }

    @Test
    void linearWithoutAFactor() {
        config.with("rope_scaling", "{\"rope_type\":\"linear\"}");

        assertThatThrownBy(() -> config.parse())
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("config.json: rope_scaling.factor is missing: must be given");
    }

    private static String longrope(String original, String more) {
        return ("{\"rope_type\":\"longrope\",\"short_factor\":%s,\"long_factor\":%s,"
                        + "\"original_max_position_embeddings\":%s%s}")
                .formatted(ONES, TWOS, original, more);
    }

    private static String factors(String value) {
        return "[" + String.join(",", Collections.nCopies(HEAD_DIM / 2, value)) + "]";
    }

    private static double plain(double theta, int i) {
        return Math.pow(theta, -2.0 * i / HEAD_DIM);
    }

    private static void assertFrequencies(RopeConfig rope, IntToDoubleFunction expected) {
        assertThat(rope.inverseFrequencies()).hasSize(HEAD_DIM / 2);
        for (int i = 0; i < HEAD_DIM / 2; i++) {
            double value = expected.applyAsDouble(i);
            assertThat((double) rope.inverseFrequencies()[i]).isEqualTo(value, within(2e-6 * value));
        }
    }
}
