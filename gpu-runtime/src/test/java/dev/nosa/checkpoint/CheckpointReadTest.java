package dev.nosa.checkpoint;

import static dev.nosa.checkpoint.RawSafetensors.floats;
import static dev.nosa.checkpoint.RawSafetensors.halves;
import static dev.nosa.checkpoint.RawSafetensors.header;
import static dev.nosa.checkpoint.RawSafetensors.tensor;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointReadTest {
    @TempDir
    Path dir;

    @Test
    void readsF32() throws IOException {
        write(header(tensor("a", "F32", "[2,3]", "[0,24]")), floats(1, -2, 3.5f, 0, Float.MIN_VALUE, 1e30f));

        try (Checkpoint checkpoint = Checkpoints.open(dir)) {
            CheckpointTensor tensor = checkpoint.tensor("a", 2, 3);

            assertThat(all(tensor)).containsExactly(1, -2, 3.5f, 0, Float.MIN_VALUE, 1e30f);
            assertThat(tensor.dtype()).isEqualTo("F32");
            assertThat(tensor.shape()).containsExactly(2, 3);
            assertThat(tensor.file()).endsWith("model.safetensors");
        }
    }

    @Test
    void widensBf16ByItsBits() throws IOException {
        write(header(tensor("a", "BF16", "[4]", "[0,8]")), halves(0x3F80, 0xC040, 0x0001, 0x8000));

        try (Checkpoint checkpoint = Checkpoints.open(dir)) {
            assertThat(all(checkpoint.tensor("a", 4))).containsExactly(1, -3, Float.intBitsToFloat(0x00010000), -0.0f);
        }
    }

    @Test
    void widensEveryFiniteF16() throws IOException {
        List<Integer> finite = new ArrayList<>();
        for (int bits = 0; bits < 1 << 16; bits++) {
            if ((bits & 0x7C00) != 0x7C00) {
                finite.add(bits);
            }
        }
        int[] bits = finite.stream().mapToInt(Integer::intValue).toArray();
        write(header(tensor("a", "F16", "[" + bits.length + "]", "[0," + 2 * bits.length + "]")), halves(bits));

        try (Checkpoint checkpoint = Checkpoints.open(dir)) {
            float[] values = all(checkpoint.tensor("a", bits.length));
            for (int i = 0; i < bits.length; i++) {
                assertThat(values[i]).isEqualTo(halfByDefinition(bits[i]));
            }
        }
    }

    /** (-1)^s * 2^(max(e, 1) - 15) * (m / 1024, plus 1 unless e is 0). */
    private static float halfByDefinition(int bits) {
        int exponent = bits >> 10 & 31;
        double significand = (bits & 1023) / 1024.0 + (exponent == 0 ? 0 : 1);
        double magnitude = significand * Math.pow(2, Math.max(exponent, 1) - 15);
        return (float) ((bits & 0x8000) == 0 ? magnitude : -magnitude);
    }

    @Test
    void readsAPieceIntoTheMiddleOfAnArray() throws IOException {
        write(header(tensor("a", "F32", "[4]", "[0,16]")), floats(1, 2, 3, 4));

        try (Checkpoint checkpoint = Checkpoints.open(dir)) {
            float[] target = {9, 9, 9, 9};
            checkpoint.tensor("a", 4).read(1, target, 2, 2);

            assertThat(target).containsExactly(9, 9, 2, 3);
        }
    }

    @Test
    void readsAcrossWindows() throws IOException {
        write(
                header(tensor("a", "BF16", "[3]", "[0,6]"), tensor("b", "BF16", "[9]", "[6,24]")),
                halves(0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0, 0x40C0, 0x40E0, 0x4100, 0x4110, 0x4120, 0x4130, 0x4140));

        try (Checkpoint checkpoint = Checkpoints.open(dir, 8)) {
            assertThat(all(checkpoint.tensor("a", 3))).containsExactly(1, 2, 3);
            assertThat(all(checkpoint.tensor("b", 9))).containsExactly(4, 5, 6, 7, 8, 9, 10, 11, 12);
        }
    }

    @Test
    void readsTensorsBeyondTwoGibibytes() throws IOException {
        long elements = 3L << 29; // of F32: 6 GiB, sparse on disk
        byte[] header = header(tensor("a", "F32", "[" + elements + "]", "[0," + 4 * elements + "]"))
                .getBytes(StandardCharsets.UTF_8);
        Path file = dir.resolve("model.safetensors");
        RawSafetensors.write(file, header.length, header, new byte[0]);
        try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
            long dataStart = sparse.length();
            sparse.setLength(dataStart + 4 * elements);
            sparse.seek(dataStart + (1L << 30) - 4);
            sparse.write(floats(1, 2));
            sparse.seek(dataStart + 4 * elements - 4);
            sparse.write(floats(3));
        }

        try (Checkpoint checkpoint = Checkpoints.open(dir)) {
            CheckpointTensor tensor = checkpoint.tensor("a", elements);
            float[] target = new float[2];

            tensor.read((1L << 28) - 1, target, 0, 2);
            assertThat(target).containsExactly(1, 2);
            tensor.read(elements - 2, target, 0, 2);
            assertThat(target).containsExactly(0, 3);
        }
    }

    @Test
    void acceptsMetadataScalarsAndEmptyTensors() throws IOException {
        write(
                header(
                        "\"__metadata__\":{\"format\":\"pt\"}",
                        tensor("scalar", "F32", "[]", "[0,4]"),
                        tensor("empty", "F32", "[3,0]", "[0,0]")),
                floats(7));

        try (Checkpoint checkpoint = Checkpoints.open(dir)) {
            assertThat(checkpoint.names()).containsExactlyInAnyOrder("scalar", "empty");
            assertThat(all(checkpoint.tensor("scalar"))).containsExactly(7);
            assertThat(checkpoint.tensor("empty", 3, 0).elements()).isZero();
        }
    }

    @Test
    void readsTensorsOfAllShards() throws IOException {
        RawSafetensors.write(dir.resolve("model-1.safetensors"), header(tensor("a", "F32", "[1]", "[0,4]")), floats(1));
        RawSafetensors.write(dir.resolve("model-2.safetensors"), header(tensor("b", "F32", "[1]", "[0,4]")), floats(2));
        Files.writeString(
                dir.resolve("model.safetensors.index.json"),
                "{\"weight_map\":{\"a\":\"model-1.safetensors\",\"b\":\"model-2.safetensors\"}}");

        try (Checkpoint checkpoint = Checkpoints.open(dir)) {
            assertThat(all(checkpoint.tensor("a", 1))).containsExactly(1);
            assertThat(all(checkpoint.tensor("b", 1))).containsExactly(2);
            assertThat(checkpoint.tensor("b", 1).file()).endsWith("model-2.safetensors");
        }
    }

    @Test
    void infinityAndNanAreErrorsThatNameTheElement() throws IOException {
        write(
                header(
                        tensor("f32", "F32", "[2]", "[0,8]"),
                        tensor("bf16", "BF16", "[2]", "[8,12]"),
                        tensor("f16", "F16", "[2]", "[12,16]")),
                concat(floats(0, Float.NaN), halves(0x7F80, 0), halves(0, 0xFC00)));

        try (Checkpoint checkpoint = Checkpoints.open(dir)) {
            assertThatThrownBy(() -> all(checkpoint.tensor("f32", 2)))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContainingAll("model.safetensors: tensor f32: element 1 is NaN", "must be finite");
            assertThatThrownBy(() -> all(checkpoint.tensor("bf16", 2)))
                    .hasMessageContaining("tensor bf16: element 0 is Infinity");
            assertThatThrownBy(() -> all(checkpoint.tensor("f16", 2)))
                    .hasMessageContaining("tensor f16: element 1 is -Infinity");
        }
    }

    @Test
    void readBeyondTheTensorIsRefused() throws IOException {
        write(header(tensor("a", "F32", "[1]", "[0,4]"), tensor("b", "F32", "[1]", "[4,8]")), floats(1, 2));

        try (Checkpoint checkpoint = Checkpoints.open(dir)) {
            assertThatThrownBy(() -> checkpoint.tensor("a", 1).read(0, new float[2], 0, 2))
                    .isInstanceOf(IndexOutOfBoundsException.class);
        }
    }

    @Test
    void readAfterCloseIsRefused() throws IOException {
        write(header(tensor("a", "F32", "[1]", "[0,4]")), floats(1));
        Checkpoint checkpoint = Checkpoints.open(dir);
        CheckpointTensor tensor = checkpoint.tensor("a", 1);

        checkpoint.close();

        assertThatThrownBy(() -> all(tensor))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("is closed");
    }

    @Test
    void tenThreadsReadTheSame() throws Exception {
        float[] values = new float[10_000];
        for (int i = 0; i < values.length; i++) {
            values[i] = i;
        }
        write(header(tensor("a", "F32", "[10000]", "[0,40000]")), floats(values));

        ExecutorService threads = Executors.newFixedThreadPool(10);
        try (Checkpoint checkpoint = Checkpoints.open(dir, 64)) {
            List<Future<float[]>> reads = new ArrayList<>();
            for (int i = 0; i < 50; i++) {
                reads.add(threads.submit(() -> all(checkpoint.tensor("a", values.length))));
            }
            for (Future<float[]> read : reads) {
                assertThat(read.get()).containsExactly(values);
            }
        } finally {
            threads.shutdown();
        }
    }

    private void write(String header, byte[] data) throws IOException {
        RawSafetensors.write(dir.resolve("model.safetensors"), header, data);
    }

    private static float[] all(CheckpointTensor tensor) {
        float[] values = new float[Math.toIntExact(tensor.elements())];
        tensor.read(0, values, 0, values.length);
        return values;
    }

    private static byte[] concat(byte[]... parts) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            out.write(part);
        }
        return out.toByteArray();
    }
}
