package dev.nosa.checkpoint;

import static dev.nosa.checkpoint.RawSafetensors.floats;
import static dev.nosa.checkpoint.RawSafetensors.header;
import static dev.nosa.checkpoint.RawSafetensors.tensor;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CorruptCheckpointTest {
    private static final long TWO_TO_61 = 1L << 61;

    @TempDir
    Path dir;

    @Test
    void missingFolder() {
        assertThatThrownBy(() -> Checkpoints.open(dir.resolve("nowhere")))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll("nowhere", "no such folder");
    }

    @Test
    void folderWithoutWeights() {
        assertOpenFails().hasMessageContaining("holds neither model.safetensors nor model.safetensors.index.json");
    }

    @Test
    void pickledWeightsNameTheConversion() throws IOException {
        Files.createFile(dir.resolve("pytorch_model-00001-of-00002.bin"));

        assertOpenFails().hasMessageContainingAll("pytorch_model*.bin", "save_pretrained");
    }

    @Test
    void emptyFile() throws IOException {
        Files.createFile(model());

        assertOpenFails().hasMessageContaining("0 bytes are too few");
    }

    @Test
    void headerLongerThanTheFile() throws IOException {
        RawSafetensors.write(model(), 1000, "{}".getBytes(StandardCharsets.UTF_8), new byte[0]);

        assertOpenFails().hasMessageContaining("header length 1000 is more than the file's 10 bytes");
    }

    @Test
    void absurdHeaderLength() throws IOException {
        RawSafetensors.write(model(), 100_000_001, "{}".getBytes(StandardCharsets.UTF_8), new byte[0]);

        assertOpenFails().hasMessageContaining("header length 100000001 is over the limit");
    }

    @Test
    void negativeHeaderLength() throws IOException {
        RawSafetensors.write(model(), -1, "{}".getBytes(StandardCharsets.UTF_8), new byte[0]);

        assertOpenFails().hasMessageContaining("header length 18446744073709551615 is over the limit");
    }

    @Test
    void headerThatIsNotJson() throws IOException {
        RawSafetensors.write(model(), "{\"a\":", new byte[0]);

        assertOpenFails().hasMessageContaining("header: not valid JSON");
    }

    @Test
    void headerThatIsNotUtf8() throws IOException {
        RawSafetensors.write(model(), 4, new byte[] {'"', (byte) 0xFF, (byte) 0xFE, '"'}, new byte[0]);

        assertOpenFails().hasMessageContaining("header: not valid JSON");
    }

    @Test
    void headerThatIsAnArray() throws IOException {
        RawSafetensors.write(model(), "[]", new byte[0]);

        assertOpenFails().hasMessageContaining("header: must hold a JSON object");
    }

    @Test
    void headerNestedAMillionDeep() throws IOException {
        RawSafetensors.write(model(), "{\"a\":" + "[".repeat(1_000_000), new byte[0]);

        assertOpenFails().hasMessageContaining("header: not valid JSON");
    }

    @Test
    void tensorTwiceInAHeader() throws IOException {
        write(tensor("a", "F32", "[1]", "[0,4]"), tensor("a", "F32", "[1]", "[0,4]"));

        assertOpenFails().hasMessageContainingAll("header: not valid JSON", "Duplicate", "'a'");
    }

    @Test
    void tensorThatIsNoObject() throws IOException {
        write("\"a\":3");

        assertOpenFails().hasMessageContaining("tensor a: dtype");
    }

    @Test
    void unknownDtype() throws IOException {
        write(tensor("a", "F8_E4M3", "[4]", "[0,4]"));

        assertOpenFails().hasMessageContaining("tensor a: dtype \"F8_E4M3\" is not supported; known: [F32, F16, BF16]");
    }

    @Test
    void negativeOffset() throws IOException {
        write(tensor("a", "F32", "[2]", "[-4,4]"));

        assertOpenFails().hasMessageContaining("tensor a: data_offsets = [-4,4]: must be integers from 0");
    }

    @Test
    void offsetOverALong() throws IOException {
        write(tensor("a", "F32", "[1]", "[0,18446744073709551620]"));

        assertOpenFails().hasMessageContaining("tensor a: data_offsets");
    }

    @Test
    void endBeforeBegin() throws IOException {
        write(tensor("a", "F32", "[1]", "[4,0]"));

        assertOpenFails().hasMessageContaining("tensor a: data_offsets = [4, 0]: must be [begin, end]");
    }

    @Test
    void missingOffsets() throws IOException {
        write("\"a\":{\"dtype\":\"F32\",\"shape\":[1]}");

        assertOpenFails().hasMessageContaining("tensor a: data_offsets must be an array");
    }

    @Test
    void truncatedFile() throws IOException {
        write(tensor("a", "F32", "[4]", "[0,16]"));

        assertOpenFails()
                .hasMessageContainingAll("tensor a: data_offsets = [0, 16]", "beyond the 8 bytes", "truncated");
    }

    @Test
    void overlap() throws IOException {
        write(tensor("a", "F32", "[1]", "[0,4]"), tensor("b", "F32", "[2]", "[0,8]"));

        assertOpenFails().hasMessageContaining("tensor b: begins at byte 0 and overlaps a, which ends at 4");
    }

    @Test
    void gap() throws IOException {
        write(tensor("a", "F32", "[1]", "[4,8]"));

        assertOpenFails().hasMessageContaining("tensor a: begins at byte 4, a gap after the header");
    }

    @Test
    void bytesAfterTheLastTensor() throws IOException {
        write(tensor("a", "F32", "[1]", "[0,4]"));

        assertOpenFails().hasMessageContaining("4 bytes after the last tensor belong to none");
    }

    @Test
    void misalignedOffset() throws IOException {
        write(
                tensor("a", "F16", "[1]", "[0,2]"),
                tensor("b", "F32", "[1]", "[2,6]"),
                tensor("c", "F16", "[1]", "[6,8]"));

        assertOpenFails().hasMessageContaining("tensor b: data_offsets = [2, 6]: misaligned for F32");
    }

    @Test
    void shapeOfAnotherSize() throws IOException {
        write(tensor("a", "F32", "[3]", "[0,8]"));

        assertOpenFails()
                .hasMessageContaining("tensor a: shape [3] of F32 takes 12 bytes, but data_offsets = [0, 8] hold 8");
    }

    @Test
    void negativeSize() throws IOException {
        write(tensor("a", "F32", "[-1,-2]", "[0,8]"));

        assertOpenFails().hasMessageContaining("tensor a: shape = [-1,-2]: must be integers from 0");
    }

    @Test
    void fractionalSize() throws IOException {
        write(tensor("a", "F32", "[2.0]", "[0,8]"));

        assertOpenFails().hasMessageContaining("tensor a: shape = [2.0]: must be integers from 0");
    }

    /** 4 bytes times 2^62 is 0 in 64 bits: what an unchecked product would take for an empty tensor. */
    @Test
    void sizeThatOverflowsToZero() throws IOException {
        write(tensor("a", "F32", "[2," + TWO_TO_61 + "]", "[0,0]"), tensor("b", "F32", "[2]", "[0,8]"));

        assertOpenFails().hasMessageContainingAll("tensor a: shape [2, " + TWO_TO_61 + "]", "overflows 2^63 bytes");
    }

    @Test
    void wrongShapeNamesBoth() throws IOException {
        write(tensor("a", "F32", "[1,2]", "[0,8]"));

        try (Checkpoint checkpoint = Checkpoints.open(dir)) {
            assertThatThrownBy(() -> checkpoint.tensor("a", 2, 1))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("model.safetensors: tensor a: expected shape [2, 1], found [1, 2]");
        }
    }

    @Test
    void missingTensorListsSimilarNames() throws IOException {
        write(
                tensor("model.layers.0.self_attn.q_proj.weight", "F32", "[1]", "[0,4]"),
                tensor("lm_head.weight", "F32", "[1]", "[4,8]"));

        try (Checkpoint checkpoint = Checkpoints.open(dir)) {
            assertThatThrownBy(() -> checkpoint.tensor("model.layers.1.self_attn.q_proj.weight", 1))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("no tensor model.layers.1.self_attn.q_proj.weight; the most similar names"
                            + " there: model.layers.0.self_attn.q_proj.weight, lm_head.weight");
        }
    }

    @Test
    void tensorInTwoShards() throws IOException {
        writeShard("x.safetensors", "a", "b");
        writeShard("y.safetensors", "b", "c");
        writeIndex("{\"weight_map\":{\"a\":\"x.safetensors\",\"c\":\"y.safetensors\"}}");

        assertOpenFails().hasMessageMatching("(?s).*y.safetensors: tensor b is also in .*x.safetensors");
    }

    @Test
    void indexThatNamesAMissingShard() throws IOException {
        writeIndex("{\"weight_map\":{\"a\":\"x.safetensors\"}}");

        assertOpenFails().hasMessageContainingAll("index.json: tensor a: shard", "x.safetensors is missing");
    }

    @Test
    void indexThatNamesATensorTheShardLacks() throws IOException {
        writeShard("x.safetensors", "a", "b");
        writeIndex("{\"weight_map\":{\"a\":\"x.safetensors\",\"z\":\"x.safetensors\"}}");

        assertOpenFails().hasMessageMatching("(?s).*index.json: tensor z is not in .*x.safetensors");
    }

    @Test
    void indexThatNamesTheWrongShard() throws IOException {
        writeShard("x.safetensors", "a", "b");
        writeShard("y.safetensors", "c", "d");
        writeIndex("{\"weight_map\":{\"a\":\"x.safetensors\",\"b\":\"y.safetensors\"}}");

        assertOpenFails().hasMessageMatching("(?s).*index.json: tensor b is not in .*y.safetensors");
    }

    @Test
    void indexThatLeavesTheFolder() throws IOException {
        writeIndex("{\"weight_map\":{\"a\":\"../x.safetensors\"}}");

        assertOpenFails()
                .hasMessageContaining("tensor a: \"../x.safetensors\" must be the name of a .safetensors file");
    }

    @Test
    void indexWithoutAWeightMap() throws IOException {
        writeIndex("{\"metadata\":{}}");

        assertOpenFails().hasMessageContaining("index.json: weight_map must be an object");
    }

    private Path model() {
        return dir.resolve("model.safetensors");
    }

    private void write(String... tensors) throws IOException {
        RawSafetensors.write(model(), header(tensors), new byte[8]);
    }

    private void writeShard(String fileName, String first, String second) throws IOException {
        RawSafetensors.write(
                dir.resolve(fileName),
                header(tensor(first, "F32", "[1]", "[0,4]"), tensor(second, "F32", "[1]", "[4,8]")),
                floats(1, 2));
    }

    private void writeIndex(String json) throws IOException {
        Files.writeString(dir.resolve("model.safetensors.index.json"), json);
    }

    /** Every message begins with a path in the folder. */
    private AbstractThrowableAssert<?, ? extends Throwable> assertOpenFails() {
        return assertThatThrownBy(() -> Checkpoints.open(dir))
                .isInstanceOf(CheckpointException.class)
                .hasMessageStartingWith(dir.toString());
    }
}
