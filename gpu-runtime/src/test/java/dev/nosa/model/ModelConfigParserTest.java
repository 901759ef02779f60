package dev.nosa.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.checkpoint.CheckpointException;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import java.nio.file.Path;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ModelConfigParserTest {
    @TempDir
    Path dir;

    private ConfigFixture config;

    @BeforeEach
    void validConfig() {
        config = new ConfigFixture(dir);
    }

    @Test
    void sizesAndDefaults() {
        ModelConfig model = config.parse();

        assertThat(model.layers()).isEqualTo(3);
        assertThat(model.hidden()).isEqualTo(256);
        assertThat(model.intermediate()).isEqualTo(512);
        assertThat(model.heads()).isEqualTo(4);
        assertThat(model.kvHeads()).isEqualTo(2);
        assertThat(model.headDim()).isEqualTo(64);
        assertThat(model.vocabSize()).isEqualTo(1000);
        assertThat(model.maxPositions()).isEqualTo(4096);
        assertThat(model.rmsNormEps()).isEqualTo(1e-6f);
        assertThat(model.tiedEmbeddings()).isFalse();
        assertThat(model.attentionBias()).isFalse();
        assertThat(model.bosToken()).isEqualTo(-1);
        assertThat(model.eosTokens()).isEmpty();
        assertThat(model.sparse()).isEqualTo(SparseConfig.DEFAULT);
    }

    @Test
    void kvHeadsDefaultToHeads() {
        assertThat(config.without("num_key_value_heads").parse().kvHeads()).isEqualTo(4);
    }

    @Test
    void headDimMayDifferFromHiddenOverHeads() {
        assertThat(config.with("head_dim", "128").parse().headDim()).isEqualTo(128);
    }

    @Test
    void nullIsNotGiven() {
        ModelConfig model = config.with("head_dim", "null")
                .with("bos_token_id", "null")
                .with("rope_scaling", "null")
                .with("sparse_config", "null")
                .parse();

        assertThat(model.headDim()).isEqualTo(64);
        assertThat(model.bosToken()).isEqualTo(-1);
        assertThat(model.mode()).isEqualTo(AttentionMode.FULL);
    }

    @Test
    void eosIdsOfBothFiles() {
        ModelConfig model = config.with("bos_token_id", "1")
                .with("eos_token_id", "2")
                .generation("{\"eos_token_id\":[2,730]}")
                .parse();

        assertThat(model.bosToken()).isEqualTo(1);
        assertThat(model.eosTokens()).containsExactlyInAnyOrder(2, 730);
    }

    @Test
    void eosIdBeyondTheVocabularyNamesItsFile() {
        config.generation("{\"eos_token_id\":[2,1000]}");

        assertParseFails()
                .hasMessageContaining(
                        "generation_config.json: eos_token_id = [2,1000]: must be below vocab_size = 1000");
    }

    @Test
    void modeOfACheckpointWithImportanceIsNosa() {
        ModelConfig model =
                config.tensors("lm_head.weight", ConfigFixture.IMPORTANCE).parse();

        assertThat(model.importance()).isTrue();
        assertThat(model.mode()).isEqualTo(AttentionMode.NOSA);
    }

    @Test
    void modeOfACheckpointWithSparseConfigAloneIsInfllm() {
        assertThat(config.with("sparse_config", "{}").parse().mode()).isEqualTo(AttentionMode.INFLLM_V2);
    }

    @Test
    void modeOfAPlainCheckpointIsFull() {
        assertThat(config.parse().mode()).isEqualTo(AttentionMode.FULL);
    }

    @Test
    void sparseConfigNamesTheMode() {
        ModelConfig model = config.tensors("lm_head.weight", ConfigFixture.IMPORTANCE)
                .with("sparse_config", "{\"mode\":\"dma\"}")
                .parse();

        assertThat(model.mode()).isEqualTo(AttentionMode.DMA);
    }

    @Test
    void modeThatNeedsImportanceIsRefusedWithoutIt() {
        config.with("sparse_config", "{\"mode\":\"nosa\"}");

        assertParseFails()
                .hasMessageContaining("config.json: sparse_config.mode = \"nosa\": needs model.layers.0.self_attn.A");
    }

    @Test
    void unknownModeListsTheKnown() {
        config.with("sparse_config", "{\"mode\":\"sparse\"}");

        assertParseFails()
                .hasMessageContaining("config.json: sparse_config.mode: unknown attention mode 'sparse'; known: full");
    }

    @Test
    void sparseConfigOverridesTheBudgets() {
        ModelConfig model = config.with("sparse_config", """
                        {"kernel_size": 16, "kernel_stride": 8, "init_blocks": 2, "block_size": 32, "window_size": 256,
                         "topk": 40, "topk_q": 10, "dense_len": 512}
                        """).parse();

        assertThat(model.sparse()).isEqualTo(new SparseConfig(32, 16, 8, 2, 8, 40, 10, 512));
    }

    @Test
    void unknownSparseKeyNamesTheNearest() {
        config.with("sparse_config", "{\"top_k\": 3}");

        assertParseFails()
                .hasMessageContaining("config.json: sparse_config.top_k = 3: unknown key; did you mean topk?");
    }

    @Test
    void windowThatIsNoWholeNumberOfBlocks() {
        config.with("sparse_config", "{\"window_size\": 100}");

        assertParseFails()
                .hasMessageContaining(
                        "config.json: sparse_config.window_size = 100: must be a multiple of block_size = 64");
    }

    @Test
    void budgetsThatDoNotFitTogether() {
        config.with("sparse_config", "{\"topk\": 8}");

        assertParseFails()
                .hasMessageContaining(
                        "config.json: sparse_config.topk = 8: must hold init_blocks + local blocks + the current block");
    }

    @Test
    void tiedEmbeddingsNeedNoOutputMatrix() {
        assertThat(config.tensors().with("tie_word_embeddings", "true").parse().tiedEmbeddings())
                .isTrue();
    }

    @Test
    void untiedEmbeddingsNeedAnOutputMatrix() {
        config.tensors().with("tie_word_embeddings", "false");

        assertParseFails()
                .hasMessageContaining("config.json: tie_word_embeddings = false: the checkpoint has no lm_head.weight");
    }

    @Test
    void attentionBias() {
        assertThat(config.with("attention_bias", "true").parse().attentionBias())
                .isTrue();
    }

    @Test
    void nosaIsAModelType() {
        assertThat(config.with("model_type", "\"nosa\"").parse().layers()).isEqualTo(3);
    }

    @ParameterizedTest
    @ValueSource(strings = {"minicpm", "minicpm4"})
    void miniCpmIsNamed(String type) {
        config.with("model_type", '"' + type + '"');

        assertParseFails().hasMessageContaining("model_type = \"" + type + "\": MiniCPM is not supported yet");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "model_type | \"qwen3\" | only llama is supported",
                "hidden_act | \"gelu\" | only silu is supported",
                "mlp_bias | true | biases in the MLP are not supported",
                "quantization_config | {\"bits\":4} | quantized weights are not supported",
                "partial_rotary_factor | 0.5 | only 1 is supported",
                "num_hidden_layers | 0 | must be an integer from 1 on",
                "num_hidden_layers | 2.5 | must be an integer from 1 on",
                "num_hidden_layers | \"2\" | must be an integer from 1 on",
                "num_hidden_layers | 4294967297 | must be an integer from 1 on",
                "hidden_size | -256 | must be an integer from 1 on",
                "hidden_size | 255 | must be a multiple of num_attention_heads = 4",
                "hidden_size | 64 | must be num_attention_heads = 4 times an even number from 32 to 256",
                "head_dim | 30 | must be even, from 32 to 256",
                "head_dim | 33 | must be even, from 32 to 256",
                "head_dim | 258 | must be even, from 32 to 256",
                "num_key_value_heads | 3 | must divide num_attention_heads = 4",
                "rms_norm_eps | 0 | must be a positive number",
                "rms_norm_eps | 1e400 | must be a positive number",
                "rope_theta | -1 | must be a positive number",
                "bos_token_id | 1000 | must be below vocab_size = 1000",
                "eos_token_id | [5,-1] | must be an integer from 0 on",
                "tie_word_embeddings | \"no\" | must be true or false",
                "rope_scaling | 3 | must be an object",
            })
    void badValue(String key, String value, String rule) {
        config.with(key, value);

        assertParseFails().hasMessageContaining("config.json: " + key + " = ").hasMessageContaining(": " + rule);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "hidden_size",
                "intermediate_size",
                "num_hidden_layers",
                "num_attention_heads",
                "vocab_size",
                "max_position_embeddings"
            })
    void missingSize(String key) {
        config.without(key);

        assertParseFails().hasMessageContaining("config.json: " + key + " is missing: must be given");
    }

    @Test
    void missingFile() {
        assertThatThrownBy(() -> ModelConfigParser.parse(dir, null))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("config.json: no such file");
    }

    private AbstractThrowableAssert<?, ? extends Throwable> assertParseFails() {
        return assertThatThrownBy(() -> config.parse())
                .isInstanceOf(CheckpointException.class)
                .hasMessageStartingWith(dir.toString());
    }
}
