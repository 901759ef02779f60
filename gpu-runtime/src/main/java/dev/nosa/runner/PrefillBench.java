package dev.nosa.runner;

import dev.nosa.backend.AttentionShape;
import dev.nosa.backend.cpu.CpuBackend;
import dev.nosa.backend.cpu.ProductStats;
import dev.nosa.backend.cpu.SgemmPeak;
import dev.nosa.cache.BlockTable;
import dev.nosa.cache.KvLayout;
import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.model.ModelConfig;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.WindowMath;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** How much of OpenBLAS's own speed the products reach inside a prefill on the CPU. */
public final class PrefillBench {
    private static final int STEP_TOKENS = 256;

    private PrefillBench() {}

    /**
     * What was measured.
     *
     * @param peak large square products
     * @param products the model's products inside the prefill
     * @param tokensPerSecond of the prefill, attention included
     */
    public record Result(ProductStats peak, ProductStats products, double tokensPerSecond) {
        /** Products over peak. */
        public double share() {
            return products.gigaflops() / peak.gigaflops();
        }
    }

    /**
     * Prefills one prompt of random tokens twice and measures the second time.
     *
     * @param context tokens of the prompt, 256 in a step
     * @param threads CPU threads
     */
    public static Result run(ModelConfig model, AttentionMode mode, Checkpoint checkpoint, int context, int threads) {
        ProductStats peak = SgemmPeak.measure(threads);
        int blocks = WindowMath.blocks(context, model.sparse());
        KvLayout layout = new KvLayout(
                model.layers(),
                model.kvHeads(),
                model.headDim(),
                mode,
                model.sparse(),
                2 * model.sparse().maxBudget(),
                Float.BYTES,
                Float.BYTES);
        AttentionShape shape = ModelRunners.shape(model);
        CpuBackend backend = new CpuBackend(shape, layout, blocks, 1, threads, false);
        try (ModelRunner runner = ModelRunners.create(model, mode, checkpoint, backend)) {
            int[] tokens = new Random(1).ints(context, 0, model.vocabSize()).toArray();
            BlockTable table = BlockTable.of(IntStream.range(0, blocks).toArray());
            prefill(runner, tokens, table);
            ProductStats before = backend.productStats();
            long start = System.nanoTime();
            prefill(runner, tokens, table);
            double seconds = (System.nanoTime() - start) / 1e9;
            return new Result(peak, backend.productStats().minus(before), context / seconds);
        }
    }

    private static void prefill(ModelRunner runner, int[] tokens, BlockTable table) {
        runner.open(0, tokens.length);
        for (int start = 0; start < tokens.length; start += STEP_TOKENS) {
            int[] chunk = Arrays.copyOfRange(tokens, start, Math.min(tokens.length, start + STEP_TOKENS));
            runner.run(List.of(new SequenceInput(0, start, chunk, table, false, TokenRequest.NONE)));
        }
        runner.release(0);
    }
}
