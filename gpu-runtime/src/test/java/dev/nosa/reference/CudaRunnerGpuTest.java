package dev.nosa.reference;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.runner.SequenceInput;
import dev.nosa.runner.SequenceOutput;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.testkit.TinyModel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.BiFunction;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The CUDA runner held to the CPU runner in F32, and to itself: chunks, batches, forks, rows and slots.
 *
 * <p>Noise. The models' logits have a standard deviation of about 2. BF16 rounds each activation by up to 1/256 of it, some ten
 * times on the way of a layer; such errors add up like random ones, to some hundredths in a log-probability. A kernel that
 * misses a block, a mask or a bias is off by tenths at every position it concerns. Where a selection leaves blocks out, random
 * models have scores at the cuts so close that BF16 takes another block: that position is then off by as much as the block
 * weighs, and so are the next ones while the block stays. So the mean over many positions stays small, one position, or a few
 * that follow one another, may be off by more, and a share of the positions has another likeliest token: random models' first
 * and second are a tenth apart in every tenth position.
 */
@Tag("gpu")
class CudaRunnerGpuTest {
    private static final int VOCAB = 48;
    private static final int DECODED = 70;

    /** Mean and worst position, and share of other tokens, where all blocks are attended. */
    private static final double DENSE_MEAN = 0.05;

    private static final double DENSE_POSITION = 0.2;
    private static final double DENSE_CHANGED = 0.08;

    /** The same where blocks are left out. */
    private static final double SPARSE_MEAN = 0.1;

    private static final double SPARSE_POSITION = 2;
    private static final double SPARSE_CHANGED = 0.15;

    /** Of fewer positions where blocks are left out the mean says nothing. */
    private static final int MANY_POSITIONS = 40;

    private enum Shape {
        D64_GROUP_1(2, 2, 64, new SparseConfig(64, 8, 4, 1, 1, 4, 1, 0)),
        D128_GROUP_4_BIAS(8, 2, 128, new SparseConfig(64, 32, 16, 1, 1, 5, 2, 0)),
        D64_GROUP_3_TIED(3, 1, 64, new SparseConfig(64, 64, 64, 0, 1, 4, 2, 0)),
        D64_GROUP_16_DENSE_START(16, 1, 64, new SparseConfig(64, 8, 4, 1, 2, 5, 1, 390));

        private final TinyModel model;

        Shape(int heads, int kvHeads, int headDim, SparseConfig sparse) {
            model = TinyModel.builder()
                    .heads(heads)
                    .kvHeads(kvHeads)
                    .headDim(headDim)
                    .hidden(128)
                    .intermediate(256)
                    .sparse(sparse)
                    .vocab(VOCAB)
                    .attentionBias(headDim == 128)
                    .tiedEmbeddings(heads == 3)
                    .dtype("BF16")
                    .seed(heads)
                    .build();
        }

        /** The longest prompt whose every token attends all blocks. */
        int dense() {
            return model.config().sparse().topK() * 64;
        }

        int length() {
            return dense() + 330;
        }

        GpuRunnerHarness fewestSlots(AttentionMode mode) {
            return runner(mode, GpuRunnerHarness.fewestSlots(model.config()));
        }

        GpuRunnerHarness resident(AttentionMode mode) {
            return runner(mode, GpuRunnerHarness.allSlots(model.config(), length()));
        }

        private GpuRunnerHarness runner(AttentionMode mode, int slots) {
            return new GpuRunnerHarness(model.config(), mode, model.checkpoint(), slots, length());
        }

        /** What the CPU gives for every token. */
        float[][] onCpu(AttentionMode mode, int[] tokens) {
            int slots = RunnerHarness.fewestSlots(model.config());
            try (RunnerHarness cpu =
                    new RunnerHarness(model.config(), mode, model.checkpoint(), slots, tokens.length)) {
                return cpu.prefill(tokens, tokens.length);
            }
        }

        int[] tokens(int seed, int length) {
            return new Random(seed).ints(length, 0, VOCAB).toArray();
        }
    }

    static Stream<Arguments> inEveryMode() {
        return Arrays.stream(Shape.values())
                .flatMap(shape -> Arrays.stream(AttentionMode.values()).map(mode -> Arguments.of(shape, mode)));
    }

    /** Positions before {@code dense} and those behind it have bounds of their own; mode full has the first everywhere. */
    private static void assertNear(
            String what, float[][] actual, float[][] expected, int first, Shape shape, AttentionMode mode) {
        int dense = mode.isSparse() ? Math.max(0, Math.min(actual.length, shape.dense() - first)) : actual.length;
        if (dense > 0) {
            LogProbNoise.of(Arrays.copyOf(actual, dense), Arrays.copyOf(expected, dense))
                    .assertWithin(what + ", dense", DENSE_MEAN, DENSE_POSITION, DENSE_CHANGED);
        }
        if (dense < actual.length) {
            LogProbNoise.of(
                            Arrays.copyOfRange(actual, dense, actual.length),
                            Arrays.copyOfRange(expected, dense, actual.length))
                    .assertWithin(
                            what + ", sparse",
                            actual.length - dense < MANY_POSITIONS ? SPARSE_POSITION : SPARSE_MEAN,
                            SPARSE_POSITION,
                            SPARSE_CHANGED);
        }
    }

    private static String named(String what, Shape shape, AttentionMode mode) {
        return what + ", " + shape + ", " + mode;
    }

    @ParameterizedTest
    @MethodSource("inEveryMode")
    void prefillInOneChunkIsNearTheCpu(Shape shape, AttentionMode mode) {
        int[] tokens = shape.tokens(1, shape.length());
        try (GpuRunnerHarness gpu = shape.fewestSlots(mode)) {
            gpu.open(0);
            float[][] got = gpu.prefill(0, tokens, 0, tokens.length, tokens.length);
            assertNear(named("prefill", shape, mode), got, shape.onCpu(mode, tokens), 0, shape, mode);
        }
    }

    @ParameterizedTest
    @MethodSource("inEveryMode")
    void prefillInOddChunksIsNearTheCpu(Shape shape, AttentionMode mode) {
        int[] tokens = shape.tokens(2, shape.length());
        float[][] expected = shape.onCpu(mode, tokens);
        try (GpuRunnerHarness gpu = shape.fewestSlots(mode)) {
            for (int chunk : new int[] {37, 64, 129}) {
                gpu.open(1);
                float[][] got = gpu.prefill(1, tokens, 0, tokens.length, chunk);
                assertNear(named("chunks of " + chunk, shape, mode), got, expected, 0, shape, mode);
                gpu.release(1);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("inEveryMode")
    void decodingBehindAPromptOfAnyLengthIsNearTheCpu(Shape shape, AttentionMode mode) {
        int[] tokens = shape.tokens(3, shape.length());
        float[][] expected = shape.onCpu(mode, tokens);
        for (int prompt : new int[] {1, 63, 64, shape.dense() - 20, shape.dense() + 130, shape.length() - DECODED}) {
            try (GpuRunnerHarness gpu = shape.fewestSlots(mode)) {
                gpu.open(2);
                gpu.run(gpu.silentChunk(2, tokens, 0, prompt));
                float[][] got = gpu.decode(2, tokens, prompt, prompt + DECODED);
                assertNear(
                        named("decode behind " + prompt, shape, mode),
                        got,
                        Arrays.copyOfRange(expected, prompt, prompt + DECODED),
                        prompt,
                        shape,
                        mode);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("inEveryMode")
    void theSameStepsGiveTheSameBits(Shape shape, AttentionMode mode) {
        int[] tokens = shape.tokens(4, shape.length());
        int prompt = shape.length() - DECODED;
        BiFunction<GpuRunnerHarness, Integer, float[][]> run = (gpu, row) -> {
            gpu.open(row);
            float[][] prefilled = gpu.prefill(row, tokens, 0, prompt, 200);
            float[][] decoded = gpu.decode(row, tokens, prompt, tokens.length);
            gpu.release(row);
            return Stream.of(prefilled, decoded).flatMap(Arrays::stream).toArray(float[][]::new);
        };
        try (GpuRunnerHarness gpu = shape.fewestSlots(mode)) {
            float[][] first = run.apply(gpu, 0);
            assertThat(run.apply(gpu, 0)).as("the row used again").isDeepEqualTo(first);
            assertThat(run.apply(gpu, 3)).as("another row, all steps recorded").isDeepEqualTo(first);
        }
        try (GpuRunnerHarness gpu = shape.fewestSlots(mode)) {
            float[][] first = run.apply(gpu, 1);
            assertThat(run.apply(gpu, 1)).as("a new runner").isDeepEqualTo(first);
        }
    }

    /** The order of a head's blocks, and with it of sums, depends on which of them were resident. */
    @ParameterizedTest
    @MethodSource("inEveryMode")
    void anyNumberOfSlotsDecodesAlike(Shape shape, AttentionMode mode) {
        int[] tokens = shape.tokens(5, shape.length());
        int prompt = shape.length() - DECODED;
        float[][] resident;
        try (GpuRunnerHarness gpu = shape.resident(mode)) {
            resident = decodeAfterPrompt(gpu, tokens, prompt);
        }
        int fewest = GpuRunnerHarness.fewestSlots(shape.model.config());
        for (int slots : new int[] {fewest, fewest + 2}) {
            try (GpuRunnerHarness gpu = shape.runner(mode, slots)) {
                float[][] got = decodeAfterPrompt(gpu, tokens, prompt);
                String what = named(slots + " slots to all", shape, mode);
                assertNear(what, got, resident, prompt, shape, mode);
            }
        }
    }

    private static float[][] decodeAfterPrompt(GpuRunnerHarness gpu, int[] tokens, int prompt) {
        gpu.open(0);
        gpu.run(gpu.silentChunk(0, tokens, 0, prompt));
        return gpu.decode(0, tokens, prompt, tokens.length);
    }

    /** Products of other batches may add up in another order, so bits may differ. */
    @ParameterizedTest
    @MethodSource("inEveryMode")
    void aMixedBatchIsNearEachSequenceAlone(Shape shape, AttentionMode mode) {
        int[] shorter = shape.tokens(6, shape.dense() - 31);
        int[] longer = shape.tokens(7, shape.length());
        int[] chunked = shape.tokens(8, shape.length() - 5);
        int steps = 6;
        int size = (chunked.length + steps - 1) / steps;
        try (GpuRunnerHarness gpu = shape.fewestSlots(mode)) {
            gpu.open(0);
            gpu.open(1);
            gpu.open(2);
            gpu.run(
                    gpu.silentChunk(1, shorter, 0, shorter.length - steps),
                    gpu.silentChunk(2, longer, 0, longer.length - steps));
            float[][] prefilled = new float[chunked.length][];
            float[][] shorterGot = new float[steps][];
            float[][] longerGot = new float[steps][];
            for (int step = 0; step < steps; step++) {
                int from = step * size;
                int to = Math.min(from + size, chunked.length);
                List<SequenceOutput> outputs = gpu.run(
                        gpu.chunk(0, chunked, from, to),
                        gpu.decode(1, shorter, shorter.length - steps + step),
                        gpu.decode(2, longer, longer.length - steps + step));
                System.arraycopy(gpu.split(outputs.get(0)), 0, prefilled, from, to - from);
                shorterGot[step] = gpu.split(outputs.get(1))[0];
                longerGot[step] = gpu.split(outputs.get(2))[0];
            }
            assertNear(named("chunk", shape, mode), prefilled, shape.onCpu(mode, chunked), 0, shape, mode);
            assertLast(named("shorter", shape, mode), shorterGot, shorter, shape, mode);
            assertLast(named("longer", shape, mode), longerGot, longer, shape, mode);
        }
    }

    private static void assertLast(String what, float[][] got, int[] tokens, Shape shape, AttentionMode mode) {
        float[][] cpu = shape.onCpu(mode, tokens);
        int first = tokens.length - got.length;
        assertNear(what, got, Arrays.copyOfRange(cpu, first, tokens.length), first, shape, mode);
    }

    @ParameterizedTest
    @MethodSource("inEveryMode")
    void batchesOfEverySizeAreNearEachSequenceAlone(Shape shape, AttentionMode mode) {
        for (boolean halves : new boolean[] {false, true}) {
            try (GpuRunnerHarness gpu = shape.fewestSlots(mode).inHalves(halves)) {
                batchesOfEverySize(gpu, halves ? "of halves, row " : "row ", shape, mode);
            }
        }
    }

    private static void batchesOfEverySize(GpuRunnerHarness gpu, String what, Shape shape, AttentionMode mode) {
        int[][] sequences = new int[GpuRunnerHarness.ROWS][];
        for (int row = 0; row < sequences.length; row++) {
            sequences[row] = shape.tokens(20 + row, shape.length() - 40 * row);
            gpu.open(row);
            gpu.run(gpu.silentChunk(row, sequences[row], 0, sequences[row].length - 12));
        }
        float[][][] got = new float[sequences.length][12][];
        for (int step = 0; step < 12; step++) { // each size is recorded and replayed
            int together = step / 2 + 1;
            for (int from = 0; from < sequences.length; from += together) {
                int first = from;
                int count = Math.min(together, sequences.length - from);
                int now = step;
                List<SequenceOutput> outputs = gpu.run(Stream.iterate(first, row -> row + 1)
                        .limit(count)
                        .map(row -> gpu.decode(row, sequences[row], sequences[row].length - 12 + now))
                        .toArray(SequenceInput[]::new));
                for (int i = 0; i < count; i++) {
                    got[first + i][step] = gpu.split(outputs.get(i))[0];
                }
            }
        }
        for (int row = 0; row < sequences.length; row++) {
            assertLast(named(what + row, shape, mode), got[row], sequences[row], shape, mode);
        }
    }

    /** Graphs of both kinds, and steps with a prompt between them, share events and scratch. */
    @ParameterizedTest
    @MethodSource("inEveryMode")
    void halvesAndWholeBatchesMayAlternate(Shape shape, AttentionMode mode) {
        int rows = GpuRunnerHarness.ROWS - 1;
        int steps = 24;
        int chunk = 48;
        int[] prompt = shape.tokens(30, chunk * steps / 4);
        int[][] sequences = new int[rows][];
        try (GpuRunnerHarness gpu = shape.fewestSlots(mode)) {
            for (int row = 0; row < rows; row++) {
                sequences[row] = shape.tokens(31 + row, shape.length() - 40 * row);
                gpu.open(row);
                gpu.run(gpu.silentChunk(row, sequences[row], 0, sequences[row].length - steps));
            }
            gpu.open(rows);
            float[][][] got = new float[rows][steps][];
            for (int step = 0; step < steps; step++) {
                gpu.inHalves(step / 3 % 2 == 1);
                List<SequenceInput> batch = new ArrayList<>();
                if (step % 4 == 3) {
                    batch.add(gpu.silentChunk(rows, prompt, step / 4 * chunk, (step / 4 + 1) * chunk));
                }
                int first = batch.size();
                for (int row = 0; row < rows; row++) {
                    batch.add(gpu.decode(row, sequences[row], sequences[row].length - steps + step));
                }
                List<SequenceOutput> outputs = gpu.run(batch.toArray(SequenceInput[]::new));
                for (int row = 0; row < rows; row++) {
                    got[row][step] = gpu.split(outputs.get(first + row))[0];
                }
            }
            for (int row = 0; row < rows; row++) {
                assertLast(
                        named("row " + row + " of halves and wholes", shape, mode),
                        got[row],
                        sequences[row],
                        shape,
                        mode);
            }
        }
    }

    /** A continuation that is scored: a fork's tokens at once, over several blocks. */
    @ParameterizedTest
    @MethodSource("inEveryMode")
    void forksContinueLikeTheirParents(Shape shape, AttentionMode mode) {
        int[] tokens = shape.tokens(9, shape.length());
        float[][] expected = shape.onCpu(mode, tokens);
        for (int length : new int[] {shape.length() - DECODED - 1, (shape.length() - DECODED) / 64 * 64}) {
            int end = length + DECODED;
            try (GpuRunnerHarness gpu = shape.fewestSlots(mode)) {
                gpu.open(0);
                gpu.run(gpu.silentChunk(0, tokens, 0, length));
                gpu.fork(0, 1, length);
                gpu.fork(0, 2, length);
                gpu.fork(0, 3, length);
                float[][] cpu = Arrays.copyOfRange(expected, length, end);
                float[][] first = gpu.decode(1, tokens, length, end);
                String what = named("fork after " + length, shape, mode);
                assertNear(what, first, cpu, length, shape, mode);
                assertThat(gpu.decode(2, tokens, length, end)).as(what).isDeepEqualTo(first);
                float[][] scored = gpu.prefill(3, tokens, length, end, 33);
                assertNear("chunks of a " + what, scored, cpu, length, shape, mode);
                int half = length + DECODED / 2;
                assertNear("parent of a " + what, gpu.decode(0, tokens, length, half), cpu, length, shape, mode);
                gpu.fork(0, 4, half); // of a row that has slots
                float[][] behind = gpu.prefill(4, tokens, half, end, 20);
                float[][] rest = Arrays.copyOfRange(expected, half, end);
                assertNear("chunks behind decodes of a " + what, behind, rest, half, shape, mode);
                assertNear("parent again of a " + what, gpu.decode(0, tokens, half, end), rest, half, shape, mode);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(AttentionMode.class)
    void aContinuationLongerThanTheLocalBlocksIsNearTheCpu(AttentionMode mode) {
        Shape shape = Shape.D64_GROUP_1;
        int[] tokens = shape.tokens(10, shape.length());
        int prompt = shape.dense() - 10;
        float[][] expected = shape.onCpu(mode, tokens);
        try (GpuRunnerHarness gpu = shape.fewestSlots(mode)) {
            gpu.open(0);
            gpu.run(gpu.silentChunk(0, tokens, 0, prompt));
            gpu.fork(0, 1, prompt);
            float[][] got = gpu.prefill(1, tokens, prompt, tokens.length, tokens.length);
            float[][] cpu = Arrays.copyOfRange(expected, prompt, tokens.length);
            assertNear(named("long continuation", shape, mode), got, cpu, prompt, shape, mode);
        }
    }

    /** A fork writes into pages that its parent gave back while copies to the host may still read them. */
    @ParameterizedTest
    @EnumSource(AttentionMode.class)
    void forksRightBehindAPromptLeaveItsHostBlocksAsTheyAre(AttentionMode mode) {
        Shape shape = Shape.D128_GROUP_4_BIAS;
        int[] tokens = shape.tokens(11, shape.length());
        int length = shape.length() - 20;
        float[][] cpu = Arrays.copyOfRange(shape.onCpu(mode, tokens), length, tokens.length);
        try (GpuRunnerHarness gpu = shape.fewestSlots(mode)) {
            for (int round = 0; round < 10; round++) {
                gpu.open(0);
                gpu.run(gpu.silentChunk(0, tokens, 0, length));
                for (int child = 1; child < GpuRunnerHarness.ROWS; child++) {
                    gpu.fork(0, child, length);
                }
                float[][] first = gpu.decode(1, tokens, length, tokens.length);
                assertNear(named("first fork", shape, mode), first, cpu, length, shape, mode);
                for (int child = 2; child < GpuRunnerHarness.ROWS; child++) {
                    assertThat(gpu.decode(child, tokens, length, tokens.length)).isDeepEqualTo(first);
                    gpu.release(child);
                }
                gpu.release(1);
                gpu.release(0);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("inEveryMode")
    void aDecodeStepCountsItsBlocksAndResidentRowsFetchNothing(Shape shape, AttentionMode mode) {
        int[] tokens = shape.tokens(12, shape.length());
        int prompt = shape.length() - DECODED;
        SparseConfig sparse = shape.model.config().sparse();
        int heads = shape.model.config().layers() * shape.model.config().kvHeads();
        try (GpuRunnerHarness resident = shape.resident(mode);
                GpuRunnerHarness offloading = shape.fewestSlots(mode)) {
            long fetched = 0;
            for (GpuRunnerHarness gpu : List.of(resident, offloading)) {
                gpu.open(0);
                gpu.run(gpu.silentChunk(0, tokens, 0, prompt));
            }
            for (int position = prompt; position < tokens.length; position++) {
                int blocks = position / 64 + 1;
                int budget = mode.isSparse() ? Math.min(blocks, sparse.budget(position)) : blocks;
                SequenceOutput all =
                        resident.run(resident.decode(0, tokens, position)).get(0);
                assertThat(all.traffic().selected()).isEqualTo((long) heads * budget);
                assertThat(all.traffic().missed()).isZero();
                SequenceOutput few =
                        offloading.run(offloading.decode(0, tokens, position)).get(0);
                assertThat(few.traffic().selected()).isEqualTo((long) heads * budget);
                fetched += few.traffic().missed();
            }
            assertThat(fetched > 0).isEqualTo(mode.isSparse());
        }
    }
}
