package dev.nosa.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.model.ModelConfig;
import dev.nosa.sparse.AttentionMode;
import org.junit.jupiter.api.Test;

class EngineSettingsTest {
    private static final ModelConfig MODEL = EngineHarness.model();

    @Test
    void defaultsComeFromTheModel() {
        EngineSettings settings = EngineSettings.of(EngineHarness.config().build(), MODEL, false);
        assertThat(settings.maxContext()).isEqualTo(512);
        assertThat(settings.layout().mode()).isEqualTo(AttentionMode.NOSA);
        assertThat(settings.layout().slots()).isEqualTo(12);
        assertThat(settings.layout().hostElementBytes()).isEqualTo(4);
    }

    @Test
    void theConfigurationWins() {
        EngineSettings settings = EngineSettings.of(
                EngineHarness.config()
                        .mode(AttentionMode.INFLLM_V2)
                        .slots(7)
                        .maxContext(100)
                        .kvDtype("bf16")
                        .build(),
                MODEL,
                false);
        assertThat(settings.maxContext()).isEqualTo(100);
        assertThat(settings.layout().mode()).isEqualTo(AttentionMode.INFLLM_V2);
        assertThat(settings.layout().slots()).isEqualTo(7);
        assertThat(settings.layout().hostElementBytes()).isEqualTo(2);
        assertThat(settings.layout().deviceElementBytes()).isEqualTo(4);
    }

    @Test
    void aModeThatNeedsImportanceOfACheckpointWithoutItIsAnError() {
        ModelConfig plain = new ModelConfig(
                2,
                64,
                128,
                4,
                2,
                32,
                300,
                512,
                1e-6f,
                MODEL.rope(),
                false,
                false,
                0,
                MODEL.eosTokens(),
                false,
                AttentionMode.INFLLM_V2,
                MODEL.sparse());
        assertThatThrownBy(() -> EngineSettings.of(
                        EngineHarness.config().mode(AttentionMode.DMA).build(), plain, false))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("mode = dma")
                .hasMessageContaining("no importance head (A and delta)")
                .hasMessageContaining("--mode infllm_v2");
    }

    @Test
    void tooFewSlotsAreAnErrorThatNamesTheOption() {
        assertThatThrownBy(
                        () -> EngineSettings.of(EngineHarness.config().slots(6).build(), MODEL, false))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("slots = 6")
                .hasMessageContaining("set --slots to 7");
    }

    @Test
    void aContextBeyondTheModelsIsAnError() {
        assertThatThrownBy(() ->
                        EngineSettings.of(EngineHarness.config().maxContext(513).build(), MODEL, false))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("max-context = 513")
                .hasMessageContaining("512");
    }
}
