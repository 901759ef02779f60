package dev.nosa.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.nosa.backend.TokenChoice;
import dev.nosa.sample.Sampler;
import dev.nosa.sample.SamplingParams;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Tokens picked on the GPU against {@link Sampler}. */
@Tag("gpu")
class SampleKernelGpuTest {
    private static final int ROWS = 24;
    private static final int CHOICES = 512;
    private static final int[] SIZES = {1, 2, 33, 1000, 1024, 1025, 2049, 5000};
    private static final float[] TEMPERATURES = {0.1f, 0.3f, 0.7f, 1, 1.5f, 5, 1e-30f, 1e30f};
    private static final float[] MASSES = {1, 0.99999994f, 0.999f, 0.95f, 0.5f, 1e-6f, Float.MIN_VALUE};

    private static KernelBench bench;
    private static CudaEvent done;

    private final Random random = new Random(11);
    private TokenKernels kernels;

    /** What a row of logits is like. */
    private enum Kind {
        NORMAL((random, token, deviation) -> deviation * random.nextGaussian()),
        PEAKED((random, token, deviation) -> 2 * random.nextGaussian() + (random.nextInt(500) == 0 ? 10 : -5)),
        FAR_FROM_ZERO((random, token, deviation) -> 1000 + 0.001 * random.nextGaussian()),
        TIES((random, token, deviation) -> Math.round(8 * random.nextGaussian()) * 0.1),
        TWO_VALUES((random, token, deviation) -> random.nextBoolean() ? 1.4 : 0.7),
        EQUAL((random, token, deviation) -> deviation),
        ZEROS((random, token, deviation) -> random.nextInt(20) == 0 ? -1 : random.nextBoolean() ? 0.0 : -0.0),
        MASKED((random, token, deviation) -> random.nextInt(50) == 0 ? random.nextGaussian() : -1e9),
        EXTREME((random, token, deviation) -> Float.MAX_VALUE * (random.nextInt(3) - 1)),
        SUBNORMAL((random, token, deviation) -> 1e-42 * random.nextGaussian()),
        ASCENDING((random, token, deviation) -> 1e-3 * token),
        DESCENDING((random, token, deviation) -> -1e-3 * token);

        private final Logit logit;

        Kind(Logit logit) {
            this.logit = logit;
        }
    }

    private interface Logit {
        double of(Random random, int token, double deviation);
    }

    @BeforeAll
    static void open() {
        bench = new KernelBench();
        done = new CudaEvent(bench.context(), true);
    }

    @BeforeEach
    void allocate() {
        kernels = new TokenKernels(bench.context(), bench.stream(), bench.library(), CHOICES);
    }

    @AfterEach
    void free() {
        kernels.close();
        bench.free();
    }

    @AfterAll
    static void close() {
        done.close();
        bench.close();
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void tokensAreTheSamplers(Kind kind) {
        for (int vocabulary : SIZES) {
            float[][] logits = new float[ROWS][];
            for (int r = 0; r < ROWS; r++) {
                logits[r] = row(kind, vocabulary);
            }
            assertPicksAsTheSampler(logits, choices(CHOICES, vocabulary));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {73_448, 262_144})
    void tokensOfALargeVocabularyAreTheSamplers(int vocabulary) {
        float[][] logits = new float[Kind.values().length][];
        for (Kind kind : Kind.values()) {
            logits[kind.ordinal()] = row(kind, vocabulary);
        }
        List<TokenChoice> choices = new ArrayList<>();
        for (TokenChoice choice : choices(10 * logits.length, vocabulary)) {
            choices.add(choice(choices.size() % logits.length, choice.params(), choice.position()));
        }
        assertPicksAsTheSampler(logits, choices);
    }

    @ParameterizedTest
    @CsvSource({"0, 1", "1, 1", "0, 1e-6", "1, 0.5", "500, 0.999", "1023, 1", "1024, 1", "1025, 1", "1, 1e-30", "0, 0.9"
    })
    void aCutIsExactAmongTies(int topK, float topP) {
        float[][] logits = new float[ROWS][3000];
        for (float[] row : logits) {
            for (int t = 0; t < row.length; t++) {
                row[t] = random.nextInt(3) == 0 ? 1 : random.nextBoolean() ? 0f : -0f;
            }
        }
        List<TokenChoice> choices = new ArrayList<>();
        for (int i = 0; i < CHOICES; i++) {
            choices.add(choice(i % ROWS, new SamplingParams(1, topK, topP, 1, i), i));
        }
        assertPicksAsTheSampler(logits, choices);
    }

    @Test
    void frequenciesFollowTheSoftmaxOfTheNucleus() {
        float[][] logits = {
            {(float) Math.log(0.05), (float) Math.log(0.5), (float) Math.log(0.3), (float) Math.log(0.15)}
        };
        int[] counts = new int[4];
        int rounds = 40;
        CudaTensor tensor = upload(logits);
        for (int round = 0; round < rounds; round++) {
            int first = round * CHOICES;
            SamplingParams params = new SamplingParams(1, 0, 0.81f, 1, 5);
            for (int token : kernels.sample(
                    tensor,
                    IntStream.range(0, CHOICES)
                            .mapToObj(i -> choice(0, params, first + i))
                            .toList(),
                    done)) {
                counts[token]++;
            }
        }
        double[] expected = {0, 0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95};
        for (int t = 0; t < counts.length; t++) {
            assertThat(counts[t] / (double) (rounds * CHOICES)).isCloseTo(expected[t], within(0.02));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 1000, 5000})
    void theFirstTokenWhoseLogitIsNotFiniteIsNamed(int vocabulary) {
        float[] bad = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY};
        float[][] logits = new float[ROWS][];
        for (int r = 0; r < ROWS; r++) {
            logits[r] = row(Kind.NORMAL, vocabulary);
            for (int n = r % 3; n > 0; n--) {
                logits[r][random.nextInt(vocabulary)] = bad[random.nextInt(bad.length)];
            }
        }
        assertPicksAsTheSampler(logits, choices(CHOICES, vocabulary));
    }

    @Test
    void greedyAndSampledRowsMixAndThoseWithAPenaltyAreLeftOut() {
        float[][] logits = new float[ROWS][];
        for (int r = 0; r < ROWS; r++) {
            logits[r] = row(Kind.TIES, 2000);
        }
        List<TokenChoice> choices = new ArrayList<>();
        for (int i = 0; i < ROWS - 3; i++) { // not all rows, and not in order
            SamplingParams params = new SamplingParams(i % 3 == 0 ? 0 : 1, 0, 0.9f, i % 5 == 4 ? 1.1f : 1, i);
            choices.add(choice(ROWS - 1 - i, params, i));
        }
        int[] got = kernels.sample(upload(logits), choices, done);
        for (int i = 0; i < got.length; i++) {
            TokenChoice choice = choices.get(i);
            assertThat(TokenKernels.picks(choice)).isEqualTo(i % 5 != 4);
            assertThat(got[i]).isEqualTo(TokenKernels.picks(choice) ? expected(logits, choice) : 0);
        }
        List<TokenChoice> penalized =
                choices.stream().filter(choice -> !TokenKernels.picks(choice)).toList();
        assertThat(kernels.sample(upload(logits), penalized, done)).containsOnly(0);
        assertThat(kernels.sample(upload(logits), List.of(), done)).isEmpty();
    }

    private void assertPicksAsTheSampler(float[][] logits, List<TokenChoice> choices) {
        CudaTensor tensor = upload(logits);
        int[] got = kernels.sample(tensor, choices, done);
        for (int i = 0; i < got.length; i++) {
            TokenChoice choice = choices.get(i);
            assertThat(got[i])
                    .as("choice %d of %d tokens: %s", i, logits[0].length, choice)
                    .isEqualTo(expected(logits, choice));
        }
        assertThat(kernels.sample(tensor, choices, done)).containsExactly(got);
    }

    private static int expected(float[][] logits, TokenChoice choice) {
        float[] row = logits[choice.row()];
        int bad = Sampler.firstNotFinite(row);
        return bad >= 0 ? -1 - bad : Sampler.sample(row, choice.params(), new int[0], 0, choice.position());
    }

    private List<TokenChoice> choices(int count, int vocabulary) {
        List<TokenChoice> choices = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int[] counts = {0, 0, 1, 1 + random.nextInt(100), 1024, 1025, vocabulary - 1, vocabulary, vocabulary + 1};
            float mass = random.nextBoolean() ? MASSES[random.nextInt(MASSES.length)] : 1 - random.nextFloat();
            float temperature = random.nextBoolean()
                    ? TEMPERATURES[random.nextInt(TEMPERATURES.length)]
                    : 0.1f + 4.9f * random.nextFloat();
            int topK = counts[random.nextInt(counts.length)];
            SamplingParams params = new SamplingParams(temperature, topK, mass, 1, random.nextLong());
            choices.add(choice(random.nextInt(ROWS), params, i));
        }
        return choices;
    }

    private static TokenChoice choice(int row, SamplingParams params, long position) {
        return new TokenChoice(row, params, new int[0], 0, position);
    }

    private float[] row(Kind kind, int vocabulary) {
        float[] row = new float[vocabulary];
        double deviation = Math.pow(10, random.nextInt(4) - 2) * (1 + random.nextDouble());
        for (int t = 0; t < vocabulary; t++) {
            row[t] = (float) kind.logit.of(random, t, deviation);
        }
        return row;
    }

    private static CudaTensor upload(float[][] logits) {
        int columns = logits[0].length;
        float[] all = new float[logits.length * columns];
        for (int r = 0; r < logits.length; r++) {
            System.arraycopy(logits[r], 0, all, r * columns, columns);
        }
        return new CudaTensor(bench.floats(all).address(), logits.length, columns, true);
    }
}
