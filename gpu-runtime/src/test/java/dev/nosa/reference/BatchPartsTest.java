package dev.nosa.reference;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.backend.Backend;
import dev.nosa.backend.Backends;
import dev.nosa.backend.BatchInputs;
import dev.nosa.cache.BlockTable;
import dev.nosa.cache.KvLayout;
import dev.nosa.model.LlamaModel;
import dev.nosa.model.ModelConfig;
import dev.nosa.model.ModelLoader;
import dev.nosa.runner.ModelRunners;
import dev.nosa.runner.RunnerOptions;
import dev.nosa.sparse.WindowMath;
import dev.nosa.tensor.Tensor;
import dev.nosa.testkit.TinyModel;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** A backend may cut a batch of decodes into parts, whose layers take turns. */
class BatchPartsTest {
    private static final int ROWS = 5;
    private static final int PROMPT = 150;
    private static final int STEPS = 40;
    private static final TinyModel MODEL = TinyModel.builder().build();

    /** A CPU backend that cuts batches of decodes behind some rows, and the order of its attention. */
    private static final class Run implements AutoCloseable {
        private final ModelConfig config = MODEL.config();
        private final int blocks = WindowMath.blocks(PROMPT + STEPS, config.sparse());
        private final List<String> order = new ArrayList<>();
        private final Backend cpu;
        private final LlamaModel model;

        /** @param firstRows of the first part; 0: one part */
        Run(int firstRows) {
            cpu = Backends.create("cpu", options());
            Backend backend = (Backend) Proxy.newProxyInstance(
                    Backend.class.getClassLoader(), new Class<?>[] {Backend.class}, (proxy, method, args) -> {
                        if (method.getName().equals("parts") && firstRows > 0 && ((BatchInputs) args[0]).isDecode()) {
                            BatchInputs batch = (BatchInputs) args[0];
                            return List.of(batch.decodes(0, firstRows), batch.decodes(firstRows, ROWS));
                        }
                        if (method.getName().toLowerCase().endsWith("attention")) {
                            BatchInputs batch =
                                    (BatchInputs) args[method.getName().equals("attention") ? 3 : 1];
                            order.add(method.getName() + " " + args[0] + " of row " + batch.firstRow());
                        }
                        try {
                            return method.invoke(cpu, args);
                        } catch (InvocationTargetException e) {
                            throw e.getCause();
                        }
                    });
            model = ModelLoader.load(
                    config, MODEL.checkpoint(), backend, config.mode().usesImportance());
        }

        private Backends.Options options() {
            KvLayout layout = new KvLayout(
                    config.layers(),
                    config.kvHeads(),
                    config.headDim(),
                    config.mode(),
                    config.sparse(),
                    RunnerHarness.fewestSlots(config),
                    Float.BYTES,
                    Float.BYTES);
            int tokens = PROMPT + STEPS;
            RunnerOptions options = new RunnerOptions("cpu", 0, ROWS * blocks, 0, tokens, ROWS, ROWS, tokens, "f32", 2);
            return ModelRunners.options(config, layout, options);
        }

        /** Logits of every row after each step. */
        List<float[]> logits() {
            Random random = new Random(3);
            for (int row = 0; row < ROWS; row++) {
                cpu.kv().open(row, PROMPT + STEPS);
                int length = PROMPT - row;
                int[] prompt = random.ints(length, 0, config.vocabSize()).toArray();
                model.forward(
                        new BatchInputs(prompt, List.of(new BatchInputs.Slice(0, length, 0, row, table(row), false))));
            }
            order.clear();
            List<float[]> all = new ArrayList<>();
            for (int step = 0; step < STEPS; step++) {
                int at = step;
                List<BatchInputs.Slice> slices = IntStream.range(0, ROWS)
                        .mapToObj(row -> new BatchInputs.Slice(row, 1, PROMPT - row + at, row, table(row), true))
                        .toList();
                int[] tokens = random.ints(ROWS, 0, config.vocabSize()).toArray();
                Tensor hidden = model.forward(new BatchInputs(tokens, slices));
                int[] rows = IntStream.range(0, ROWS).toArray();
                Tensor logits = model.logits(hidden, rows);
                for (int row : rows) {
                    float[] values = new float[config.vocabSize()];
                    cpu.read(logits, row, values);
                    all.add(values);
                }
            }
            return all;
        }

        private BlockTable table(int row) {
            return BlockTable.of(
                    IntStream.range(row * blocks, (row + 1) * blocks).toArray());
        }

        @Override
        public void close() {
            cpu.close();
        }
    }

    @Test
    void partsGiveWhatTheWholeGivesBitForBit() {
        try (Run whole = new Run(0);
                Run parts = new Run(2)) {
            assertThat(parts.logits()).usingElementComparator(Arrays::compare).isEqualTo(whole.logits());
        }
    }

    @Test
    void layersOfThePartsTakeTurns() {
        try (Run parts = new Run(2)) {
            parts.logits();
            assertThat(parts.order.subList(0, 8))
                    .containsExactly(
                            "attention 0 of row 0",
                            "attention 0 of row 2",
                            "finishAttention 0 of row 0",
                            "attention 1 of row 0",
                            "finishAttention 0 of row 2",
                            "attention 1 of row 2",
                            "finishAttention 1 of row 0",
                            "finishAttention 1 of row 2");
        }
    }
}
