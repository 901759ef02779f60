package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.nosa.spark.ExecutorEngine;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Weights that cannot be used, from the command line: one line that names file and tensor, exit code 2. */
class BrokenWeightsTest extends JobFixture {
    private static final String TENSOR = "model.layers.1.mlp.down_proj.weight";

    private static Path input;

    @BeforeEach
    void newEngine() throws IOException {
        ExecutorEngine.close();
        input = write("input.jsonl", "{\"id\":\"a\",\"text\":\"one two three\"}\n");
    }

    private static void assertRefused(Path broken, String... reasons) {
        CommandRun run = generate(input, folder.resolve("out"), "--model=" + broken);
        assertThat(run.usageError())
                .startsWith("nosa: error: ")
                .contains(broken.toString())
                .contains(reasons)
                .endsWith("(--model)");
        assertThat(folder.resolve("out")).doesNotExist();
    }

    /** The tiny model with another header of its weights. */
    private static Path withHeader(String name, Consumer<ObjectNode> change) throws IOException {
        Path broken = copyOfModel(name);
        Path file = broken.resolve("model.safetensors");
        ByteBuffer content = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        byte[] json = new byte[Math.toIntExact(content.getLong())];
        content.get(json);
        ObjectMapper mapper = new ObjectMapper();
        ObjectNode header = (ObjectNode) mapper.readTree(json);
        change.accept(header);
        byte[] changed = mapper.writeValueAsString(header).getBytes(StandardCharsets.UTF_8);
        ByteBuffer written = ByteBuffer.allocate(Long.BYTES + changed.length + content.remaining())
                .order(ByteOrder.LITTLE_ENDIAN);
        Files.write(
                file, written.putLong(changed.length).put(changed).put(content).array());
        return broken;
    }

    private static Path withTensor(String name, Consumer<ObjectNode> change) throws IOException {
        return withHeader(name, header -> change.accept((ObjectNode) header.get(TENSOR)));
    }

    @Test
    void aHeaderLongerThanTheFile() throws IOException {
        Path broken = copyOfModel("long-header");
        Path file = broken.resolve("model.safetensors");
        byte[] bytes = Files.readAllBytes(file);
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(0, bytes.length);
        Files.write(file, bytes);
        assertRefused(broken, "model.safetensors", "header");
    }

    @Test
    void aNegativeOffset() throws IOException {
        assertRefused(
                withTensor(
                        "negative",
                        tensor -> tensor.putArray("data_offsets").add(-4).add(4)),
                TENSOR);
    }

    @Test
    void offsetsThatOverlapAnotherTensor() throws IOException {
        Path broken = withTensor("overlap", tensor -> {
            long begin = tensor.get("data_offsets").get(0).longValue();
            long end = tensor.get("data_offsets").get(1).longValue();
            tensor.putArray("data_offsets").add(begin - 4).add(end - 4);
        });
        assertRefused(broken, "model.safetensors", TENSOR);
    }

    @Test
    void moreElementsThanMemoryHasAddresses() throws IOException {
        Path broken = withTensor(
                "huge", tensor -> tensor.putArray("shape").add(1L << 31).add(1L << 31));
        assertRefused(broken, "model.safetensors", TENSOR);
    }

    @Test
    void anUnknownDtype() throws IOException {
        assertRefused(
                withTensor("dtype", tensor -> tensor.put("dtype", "F8_E4M3")), "model.safetensors", TENSOR, "F8_E4M3");
    }

    @Test
    void aMissingTensor() throws IOException {
        Path broken = withHeader("missing", header -> header.set("other.weight", header.remove(TENSOR)));
        assertRefused(broken, TENSOR);
    }

    @Test
    void aTensorOfAnotherShape() throws IOException {
        Path broken = withTensor("shape", tensor -> {
            long rows = tensor.get("shape").get(0).longValue();
            long columns = tensor.get("shape").get(1).longValue();
            tensor.putArray("shape").add(columns).add(rows);
        });
        assertRefused(broken, "model.safetensors", TENSOR, "shape");
    }

    @Test
    void aWeightThatIsNoNumber() throws IOException {
        Path broken = copyOfModel("nan");
        Path file = broken.resolve("model.safetensors");
        byte[] bytes = Files.readAllBytes(file);
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putFloat(bytes.length - Float.BYTES, Float.NaN);
        Files.write(file, bytes);
        assertRefused(broken, "model.safetensors", "tensor ", "NaN");
    }
}
