package dev.nosa.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RandomOperationsTest {
    private static final int OPERATIONS = 1_000;

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5})
    void everyRequestEndsAsAloneAndTheBooksBalanceAfterEachOperation(long seed) throws InterruptedException {
        Random random = new Random(seed);
        // Room for about three average requests: the queue is rarely empty.
        EngineHarness engine = new EngineHarness(4, 48, 1L << 20, 64 * (1 + random.nextInt(3)));
        List<Runnable> checks = new ArrayList<>();
        List<ActiveRequest> requests = new ArrayList<>();
        List<int[]> heads =
                List.of(EngineHarness.randomTokens(random, 30), EngineHarness.randomTokens(random, 64), new int[0]);
        for (int i = 0; i < OPERATIONS; i++) {
            int kind = random.nextInt(20);
            if (kind < 4) {
                requests.add(generation(engine, random, checks));
            } else if (kind == 4) {
                requests.add(scoring(engine, random, checks));
            } else if (kind == 5) {
                requests.addAll(group(engine, random, heads, checks));
            } else if (kind == 6 && !requests.isEmpty()) {
                engine.inbox.cancel(requests.get(random.nextInt(requests.size())));
            } else {
                engine.loop.step();
            }
            engine.cache.checkIntegrity();
        }
        engine.runUntilIdle();
        checks.forEach(Runnable::run);
        assertThat(engine.runner.openRows()).isLessThan(heads.size()); // those that are kept
        engine.inbox.close();
        engine.loop.run();
        assertThat(engine.inbox.unfinished()).isEmpty();
        assertThat(engine.inbox.waiting()).isZero();
        assertThat(engine.cache.hostBlocksFree()).isEqualTo(engine.cache.hostBlocksTotal());
        assertThat(engine.runner.openRows()).isZero();
    }

    private static ActiveRequest generation(EngineHarness engine, Random random, List<Runnable> checks)
            throws InterruptedException {
        int[] prompt = EngineHarness.randomTokens(random, 1 + random.nextInt(random.nextInt(10) == 0 ? 300 : 100));
        int maxNew = 1 + random.nextInt(20);
        Generation generation = engine.submit(EngineHarness.generation(prompt, maxNew));
        checks.add(() -> check(generation, prompt, maxNew));
        return generation;
    }

    private static List<Generation> group(EngineHarness engine, Random random, List<int[]> heads, List<Runnable> checks)
            throws InterruptedException {
        int[] head = heads.get(random.nextInt(heads.size()));
        int[] document = append(head, EngineHarness.randomTokens(random, 1 + random.nextInt(120)));
        List<GenerationRequest> requests = new ArrayList<>();
        for (int i = 0; i <= random.nextInt(6); i++) {
            int[] prompt = append(document, EngineHarness.randomTokens(random, random.nextInt(40)));
            requests.add(EngineHarness.generation(prompt, 1 + random.nextInt(20)));
        }
        List<Generation> generations = engine.submit(new GenerationGroup(requests, head.length));
        for (int i = 0; i < requests.size(); i++) {
            Generation generation = generations.get(i);
            GenerationRequest request = requests.get(i);
            checks.add(() -> check(generation, request.prompt(), request.maxNewTokens()));
        }
        return generations;
    }

    private static int[] append(int[] first, int[] second) {
        int[] both = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }

    private static void check(Generation generation, int[] prompt, int maxNew) {
        GenerationResult result = generation.future().getNow(null);
        int[] expected = EngineHarness.expected(prompt, maxNew);
        if (result.finishReason() != FinishReason.CANCELLED) {
            assertThat(result.finishReason()).isEqualTo(outcome(expected));
        }
        assertThat(result.tokens()).isEqualTo(Arrays.copyOf(expected, result.tokens().length));
    }

    private static FinishReason outcome(int[] expected) {
        boolean undecodable = Arrays.stream(expected).anyMatch(token -> token == ByteTokenizer.UNDECODABLE);
        return undecodable ? FinishReason.ERROR : FinishReason.LENGTH;
    }

    private static ActiveRequest scoring(EngineHarness engine, Random random, List<Runnable> checks)
            throws InterruptedException {
        int[] prompt = EngineHarness.randomTokens(random, 1 + random.nextInt(150));
        List<int[]> continuations = new ArrayList<>();
        for (int i = 0; i <= random.nextInt(4); i++) {
            continuations.add(EngineHarness.randomTokens(random, 1 + random.nextInt(random.nextInt(4) == 0 ? 90 : 6)));
        }
        Scoring scoring = engine.submit(new ScoringRequest("s", prompt, continuations));
        checks.add(() -> {
            ScoringResult result = scoring.future().getNow(null);
            if (result.finishReason() == FinishReason.CANCELLED) {
                return;
            }
            assertThat(result.error()).isNull();
            for (int i = 0; i < continuations.size(); i++) {
                assertThat(result.scores().get(i).logProbs())
                        .isEqualTo(EngineHarness.expectedScores(prompt, continuations.get(i)));
            }
        });
        return scoring;
    }
}
