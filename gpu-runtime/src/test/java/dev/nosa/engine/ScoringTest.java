package dev.nosa.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ScoringTest {
    private static final long MIB = 1L << 20;

    private final Random random = new Random(6);
    private final EngineHarness engine = new EngineHarness(2, 64, 4 * MIB, 64);

    @ParameterizedTest
    @CsvSource({"1, 1", "1, 2", "16, 5", "64, 65", "100, 200", "127, 130", "300, 20"})
    void logProbabilitiesAreThoseOfThePromptAndWhatCameBefore(int promptTokens, int continuationTokens)
            throws InterruptedException {
        int[] prompt = tokens(promptTokens);
        List<int[]> continuations = List.of(tokens(continuationTokens), tokens(1), tokens(3), tokens(1));
        ScoringResult result = engine.score(new ScoringRequest("s", prompt, continuations));
        assertThat(result.finishReason()).isEqualTo(FinishReason.STOP);
        assertThat(result.error()).isNull();
        assertThat(result.scores()).hasSize(4);
        for (int i = 0; i < continuations.size(); i++) {
            assertThat(result.scores().get(i).tokens()).isEqualTo(continuations.get(i));
            assertThat(result.scores().get(i).logProbs())
                    .isEqualTo(EngineHarness.expectedScores(prompt, continuations.get(i)));
        }
        assertThat(result.usage().outputTokens()).isEqualTo(continuationTokens + 5);
        assertThat(engine.cache.hostBlocksFree()).isEqualTo(64);
    }

    @Test
    void thePromptIsPrefilledOnceForAllContinuations() throws InterruptedException {
        List<int[]> continuations = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            continuations.add(tokens(4));
        }
        engine.score(new ScoringRequest("s", tokens(150), continuations));
        assertThat(engine.loop.stats().prefillTokens()).isEqualTo(150 + 20 * 3);
    }

    @Test
    void continuationsOfOneTokenNeedNoFork() throws InterruptedException {
        // One row's worth of device bytes: a fork would not fit.
        EngineHarness tight = new EngineHarness(1, 2, engine.layout.deviceBytes(32), 64);
        int[] prompt = tokens(32);
        ScoringResult result = tight.score(new ScoringRequest("s", prompt, List.of(tokens(1), tokens(1))));
        assertThat(result.finishReason()).isEqualTo(FinishReason.STOP);
        assertThat(tight.loop.stats().steps()).isEqualTo(1);
    }

    @Test
    void finishedBlocksOfThePromptAreShared() throws InterruptedException {
        // 40 tokens: 2 finished blocks and a tail of 8. The fork owns copies of the tail and 1 block more.
        EngineHarness tight = new EngineHarness(1, 3 + 2, 4 * MIB, 64);
        List<int[]> continuations = List.of(tokens(20), tokens(24));
        assertThat(tight.score(new ScoringRequest("s", tokens(40), continuations))
                        .error())
                .isNull();
        EngineHarness tooTight = new EngineHarness(1, 3 + 1, 4 * MIB, 64);
        assertThat(tooTight.score(new ScoringRequest("s", tokens(40), continuations))
                        .error())
                .contains("host KV", "--host-kv");
    }

    @Test
    void severalScoringRequestsInLittleMemoryDoNotDeadlock() throws InterruptedException {
        EngineHarness tight = new EngineHarness(4, 12, 1 * MIB, 64);
        List<Scoring> scorings = new ArrayList<>();
        for (int i = 0; i < 12; i++) {
            scorings.add(tight.submit(new ScoringRequest("s" + i, tokens(50), List.of(tokens(30), tokens(10)))));
        }
        tight.runUntilIdle();
        assertThat(scorings).allMatch(scoring -> scoring.future().getNow(null).finishReason() == FinishReason.STOP);
    }

    @Test
    void cancellingDuringAForkReturnsBothSequences() throws InterruptedException {
        Scoring scoring = engine.submit(new ScoringRequest("s", tokens(30), List.of(tokens(200))));
        engine.loop.step();
        engine.loop.step();
        assertThat(engine.runner.openRows()).isEqualTo(2);
        engine.inbox.cancel(scoring);
        engine.runUntilIdle();
        assertThat(scoring.future().join().finishReason()).isEqualTo(FinishReason.CANCELLED);
        assertThat(scoring.future().join().scores()).isEmpty();
        assertThat(engine.runner.openRows()).isZero();
    }

    @Test
    void requestsThatCanNeverRunSayWhy() throws InterruptedException {
        assertError(new ScoringRequest("s", tokens(3), List.of()), "no continuations");
        assertError(new ScoringRequest("s", new int[0], List.of(tokens(1))), "the prompt is empty");
        assertError(new ScoringRequest("s", tokens(3), List.of(tokens(1), new int[0])), "continuation 1 is empty");
        assertError(new ScoringRequest("s", tokens(3), List.of(new int[] {-1})), "continuation 0", "token id -1");
        assertError(new ScoringRequest("s", tokens(500), List.of(tokens(13))), "needs 513 tokens", "--max-context");
    }

    @Test
    void anErrorOfTheModelIsTheResultsError() throws InterruptedException {
        assertError(new ScoringRequest("s", tokens(3), List.of(new int[] {FakeRunner.POISON, 5, 6})), "poisoned");
    }

    private void assertError(ScoringRequest request, String... parts) throws InterruptedException {
        ScoringResult result = engine.score(request);
        assertThat(result.finishReason()).isEqualTo(FinishReason.ERROR);
        assertThat(result.error()).contains(parts);
        assertThat(result.scores()).isEmpty();
    }

    private int[] tokens(int count) {
        return EngineHarness.randomTokens(random, count);
    }
}
