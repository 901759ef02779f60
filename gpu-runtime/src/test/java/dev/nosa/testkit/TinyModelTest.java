package dev.nosa.testkit;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The folder that the test kit writes, byte by byte where a reader depends on it. */
class TinyModelTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    Path dir;

    @Test
    void headerSaysWhereEachTensorStands() throws IOException {
        TinyModel model = TinyModel.write(dir);
        ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(dir.resolve("model.safetensors")))
                .order(ByteOrder.LITTLE_ENDIAN);
        int headerLength = Math.toIntExact(file.getLong(0));
        JsonNode entry =
                JSON.readTree(file.array(), Long.BYTES, headerLength).get("model.layers.1.self_attn.delta.weight");
        int data = Long.BYTES + headerLength + entry.get("data_offsets").get(0).asInt();
        assertThat(data % Float.BYTES).isZero();
        assertThat(entry.get("shape")).hasToString("[2,64]");
        assertThat(file.getFloat(data + 5 * Float.BYTES))
                .isEqualTo(model.weights()
                        .get("model.layers.1.self_attn.delta.weight")
                        .values()[5]);
    }

    @Test
    void bfloat16ValuesAreThoseThatTheFileHolds() {
        TinyModel model = TinyModel.builder().dtype("BF16").build();
        for (float value : model.weights().get("model.norm.weight").values()) {
            assertThat(Float.floatToRawIntBits(value) & 0xffff).isZero();
        }
    }

    @Test
    void bfloat16RoundsToNearestAndTiesToEven() {
        assertThat(Weight.roundToBfloat16(Float.intBitsToFloat(0x3f808000))).isEqualTo(1.0f);
        assertThat(Weight.roundToBfloat16(Float.intBitsToFloat(0x3f818000)))
                .isEqualTo(Float.intBitsToFloat(0x3f820000));
        assertThat(Weight.roundToBfloat16(Float.intBitsToFloat(0x3f808001)))
                .isEqualTo(Float.intBitsToFloat(0x3f810000));
    }

    @Test
    void everyTensorIsInExactlyOneShard() throws IOException {
        TinyModel model = TinyModel.builder().shards(3).write(dir);
        JsonNode weightMap = JSON.readTree(
                        dir.resolve("model.safetensors.index.json").toFile())
                .get("weight_map");
        assertThat(weightMap.fieldNames())
                .toIterable()
                .containsExactlyInAnyOrderElementsOf(model.weights().keySet());
        assertThat(dir.resolve("model.safetensors")).doesNotExist();
        assertThat(dir.resolve("model-00003-of-00003.safetensors")).exists();
    }

    @Test
    void sameSeedGivesTheSameWeights() {
        String name = "model.embed_tokens.weight";
        float[] first = TinyModel.builder().seed(7).build().weights().get(name).values();
        assertThat(TinyModel.builder().seed(7).build().weights().get(name).values())
                .containsExactly(first);
        assertThat(TinyModel.builder().seed(8).build().weights().get(name).values())
                .isNotEqualTo(first);
    }
}
