package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.nosa.sample.Sampler;
import dev.nosa.sample.SamplingParams;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Kernels on rows of activations, by way of their launcher, and of logits, against Java. */
class ElementKernelsGpuTest extends KernelGpuTest {
    /** Of a BF16 result: one rounding, and one more step where F32 falls on the other side of a tie. */
    private static final double BF16 = 1 / 128.0;

    private static Elementwise elementwise;

    private final Random random = new Random(3);

    @BeforeAll
    static void load() {
        elementwise = new Elementwise(bench.library(), bench.stream());
    }

    @ParameterizedTest
    @CsvSource({"1, 8", "3, 2056", "130, 64", "5, 4096"})
    void embedWidensRowsOfTheTableBitForBit(int rows, int columns) {
        int vocabulary = 37;
        float[] table = KernelBench.random(random, vocabulary * columns, 1);
        int[] tokens = random.ints(rows, 0, vocabulary).toArray();
        tokens[0] = vocabulary - 1;
        DeviceBuffer out = bench.unwritten(4L * rows * columns);
        elementwise.embed(
                weight(table, vocabulary, columns), bench.ints(tokens).address(), tensor(out, rows, columns, true));
        float[] got = KernelBench.readFloats(out);
        for (int r = 0; r < rows; r++) {
            assertThat(Arrays.copyOfRange(got, r * columns, (r + 1) * columns))
                    .containsExactly(Arrays.copyOfRange(table, tokens[r] * columns, (tokens[r] + 1) * columns));
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 4, 1", "3, 100, 1e-4", "130, 64, 30", "2, 4096, 1", "5, 2052, 1"})
    void rmsNormIsWithinOneStepOfBf16(int rows, int columns, double deviation) {
        float epsilon = 1e-6f;
        float[] x = new float[rows * columns];
        for (int i = 0; i < x.length; i++) {
            x[i] = (float) (deviation * random.nextGaussian());
        }
        float[] gain = KernelBench.random(random, columns, 1);
        DeviceBuffer out = bench.unwritten(2L * x.length);
        elementwise.rmsNorm(
                tensor(bench.floats(x), rows, columns, true),
                weight(gain, 1, columns),
                epsilon,
                tensor(out, rows, columns, false));
        float[] got = KernelBench.readBf16(out);
        for (int r = 0; r < rows; r++) {
            double squares = 0;
            for (int i = 0; i < columns; i++) {
                squares += (double) x[r * columns + i] * x[r * columns + i];
            }
            double scale = 1 / Math.sqrt(squares / columns + epsilon);
            for (int i = 0; i < columns; i++) {
                assertBf16(got[r * columns + i], x[r * columns + i] * scale * gain[i]);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 8", "3, 2056", "129, 64", "2, 4096"})
    void siluMulIsWithinOneStepOfBf16(int rows, int columns) {
        float[] gateUp = KernelBench.random(random, rows * 2 * columns, 4);
        gateUp[0] = -200;
        gateUp[1] = 200;
        DeviceBuffer out = bench.unwritten(2L * rows * columns);
        elementwise.siluMul(tensor(bench.bf16(gateUp), rows, 2 * columns, false), tensor(out, rows, columns, false));
        float[] got = KernelBench.readBf16(out);
        for (int r = 0; r < rows; r++) {
            for (int i = 0; i < columns; i++) {
                double gate = gateUp[r * 2 * columns + i];
                assertBf16(got[r * columns + i], gate / (1 + Math.exp(-gate)) * gateUp[(2 * r + 1) * columns + i]);
            }
        }
    }

    private static void assertBf16(float got, double expected) {
        assertThat((double) got).isCloseTo(expected, within(Math.abs(expected) * BF16 + 1e-30));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 31, 1024, 1025, 5000, 73_448})
    void argMaxIsTheSamplersGreedyToken(int vocabulary) {
        float[][] logits = new float[33][vocabulary];
        for (float[] row : logits) {
            for (int t = 0; t < vocabulary; t++) { // few values, so that most rows have ties
                row[t] = random.nextInt(64) / 8f - 6;
            }
        }
        Arrays.fill(logits[1], -Float.MAX_VALUE);
        Arrays.fill(logits[2], Float.MAX_VALUE);
        Arrays.fill(logits[3], -1);
        logits[3][vocabulary / 2] = -0f;
        logits[3][vocabulary - 1] = 0f;
        int[] expected = Arrays.stream(logits)
                .mapToInt(row -> Sampler.sample(row, SamplingParams.GREEDY, new int[0], 0, 0))
                .toArray();
        assertThat(argMax(logits)).containsExactly(expected);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 1000, 5000})
    void argMaxNamesTheFirstTokenWhoseLogitIsNotFinite(int vocabulary) {
        float[][] logits = new float[8][vocabulary];
        float[] bad = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY};
        for (int r = 0; r < logits.length - 1; r++) {
            logits[r][random.nextInt(vocabulary)] = bad[r % bad.length];
            logits[r][random.nextInt(vocabulary)] = bad[(r + 1) % bad.length];
        }
        int[] expected = Arrays.stream(logits)
                .mapToInt(row -> Math.min(0, -1 - Sampler.firstNotFinite(row)))
                .toArray();
        assertThat(argMax(logits)).containsExactly(expected);
        float[] logProbs = logProbs(logits, IntStream.range(0, logits.length).toArray(), new int[logits.length]);
        for (int r = 0; r < logits.length; r++) {
            assertThat(Float.isNaN(logProbs[r])).isEqualTo(r < logits.length - 1);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 31, 1025, 73_448})
    void logProbsAreThoseOfTheSampler(int vocabulary) {
        float[][] logits = new float[5][vocabulary];
        double[] deviations = {1, 8, 0, 100, 1e-3};
        for (int r = 0; r < logits.length; r++) {
            for (int t = 0; t < vocabulary; t++) {
                logits[r][t] = (float) (deviations[r] * random.nextGaussian() + 50 * r);
            }
        }
        int[] rows = random.ints(50, 0, logits.length).toArray();
        int[] tokens = random.ints(50, 0, vocabulary).toArray();
        float[] got = logProbs(logits, rows, tokens);
        for (int i = 0; i < rows.length; i++) {
            float expected = Sampler.logProb(logits[rows[i]], tokens[i]);
            // expf is within 2 units of its last place, and the result is rounded to F32.
            assertThat((double) got[i]).isCloseTo(expected, within(1e-6 + 2.4e-7 * Math.abs(expected)));
        }
    }

    private static int[] argMax(float[][] logits) {
        DeviceBuffer result = bench.unwritten(4L * logits.length);
        bench.args().putPointer(upload(logits)).putInt(logits[0].length).putPointer(result);
        bench.launch("arg_max", KernelBench.grid(logits.length), 1024, 0);
        return KernelBench.readInts(result);
    }

    private static float[] logProbs(float[][] logits, int[] rows, int[] tokens) {
        DeviceBuffer result = bench.unwritten(4L * rows.length);
        KernelArgs args = bench.args().putPointer(upload(logits)).putInt(logits[0].length);
        args.putPointer(bench.ints(rows)).putPointer(bench.ints(tokens)).putPointer(result);
        bench.launch("log_probs", KernelBench.grid(rows.length), 1024, 0);
        return KernelBench.readFloats(result);
    }

    private static DeviceBuffer upload(float[][] logits) {
        int columns = logits[0].length;
        float[] all = new float[logits.length * columns];
        for (int r = 0; r < logits.length; r++) {
            System.arraycopy(logits[r], 0, all, r * columns, columns);
        }
        return bench.floats(all);
    }

    private static CudaWeight weight(float[] values, int rows, int columns) {
        return new CudaWeight(bench.bf16(values), rows, columns);
    }

    private static CudaTensor tensor(DeviceBuffer buffer, int rows, int columns, boolean wide) {
        return new CudaTensor(buffer.address(), rows, columns, wide);
    }
}
