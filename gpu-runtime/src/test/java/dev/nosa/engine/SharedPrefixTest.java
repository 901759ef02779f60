package dev.nosa.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The fake model's blocks have 16 tokens. */
class SharedPrefixTest {
    private static final long MIB = 1L << 20;
    private static final int NEW_TOKENS = 6;

    private final Random random = new Random(12);
    private final EngineHarness engine = new EngineHarness(4, 200, 8 * MIB, 64);

    @ParameterizedTest
    @CsvSource({"16, 1", "17, 5", "64, 64", "100, 70", "129, 3", "300, 20"})
    void everyPromptGetsWhatItWouldGetAlone(int shared, int own) throws InterruptedException {
        List<int[]> prompts = prompts(tokens(shared), own, 7);
        List<Generation> generations = engine.submit(group(prompts, 0));
        engine.runUntilIdle();
        assertAsAlone(generations, prompts);
        assertThat(engine.loop.stats().prefillTokens()).isEqualTo(shared + 7L * own);
        assertAllFree();
    }

    @Test
    void promptsOfDifferentLengthsShareWhatAllBeginWith() throws InterruptedException {
        int[] document = tokens(90);
        List<int[]> prompts = List.of(
                append(document, tokens(3)),
                append(document, tokens(80)),
                document, // all of it is shared but the last token, which gives the logits
                append(document, tokens(1)));
        List<Generation> generations = engine.submit(group(prompts, 0));
        engine.runUntilIdle();
        assertAsAlone(generations, prompts);
        assertThat(engine.loop.stats().prefillTokens()).isEqualTo(89 + 4 + 81 + 1 + 2);
        assertAllFree();
    }

    @Test
    void equalPromptsShareAllButTheLastToken() throws InterruptedException {
        int[] prompt = tokens(50);
        List<Generation> generations = engine.submit(group(List.of(prompt, prompt, prompt), 0));
        engine.runUntilIdle();
        assertAsAlone(generations, List.of(prompt, prompt, prompt));
        assertThat(engine.loop.stats().prefillTokens()).isEqualTo(49 + 3);
    }

    @Test
    void theFirstAnswersForWhatAllShare() throws InterruptedException {
        List<Generation> generations = engine.submit(group(prompts(tokens(96), 8, 3), 0));
        engine.runUntilIdle();
        List<Usage> usages =
                generations.stream().map(g -> g.future().join().usage()).toList();
        assertThat(usages).extracting(Usage::promptTokens).containsExactly(104, 104, 104);
        assertThat(usages).extracting(Usage::sharedTokens).containsExactly(0, 96, 96);
        // The fake model says 2 blocks a step: two chunks of the prefix, one of the own tokens, the decode steps.
        assertThat(usages)
                .extracting(usage -> usage.traffic().selected())
                .containsExactly(2L * (2 + NEW_TOKENS), 2L * NEW_TOKENS, 2L * NEW_TOKENS);
    }

    @Test
    void asManyRunAtOnceAsTheBatchHolds() throws InterruptedException {
        List<int[]> prompts = prompts(tokens(64), 4, 10);
        List<Generation> generations = engine.submit(group(prompts, 0));
        int most = 0;
        while (engine.loop.step()) {
            most = Math.max(most, engine.runner.openRows());
        }
        assertThat(most).isEqualTo(1 + 4);
        assertAsAlone(generations, prompts);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void asManyRunAtOnceAsTheMemoryHolds(int fits) throws InterruptedException {
        // 70 shared tokens take 5 blocks. A prompt has 4 of them, its copy of the tail, and 2 more.
        EngineHarness tight = new EngineHarness(4, 5 + 3 * fits, 8 * MIB, 64);
        List<int[]> prompts = prompts(tokens(70), 28, 8);
        List<Generation> generations = tight.submit(group(prompts, 0));
        int most = 0;
        while (tight.loop.step()) {
            tight.cache.checkIntegrity();
            most = Math.max(most, tight.runner.openRows());
        }
        assertThat(most).isEqualTo(1 + fits);
        assertAsAlone(generations, prompts);
        assertThat(tight.cache.hostBlocksFree()).isEqualTo(tight.cache.hostBlocksTotal());
    }

    @Test
    void promptsThatFitOnlyWithoutTheirPrefixRunAlone() throws InterruptedException {
        List<int[]> prompts = prompts(tokens(70), 28, 3);
        EngineHarness tight = new EngineHarness(4, 7, 8 * MIB, 64);
        List<Generation> generations = tight.submit(group(prompts, 0));
        tight.runUntilIdle();
        assertAsAlone(generations, prompts);
        assertThat(tight.loop.stats().prefillTokens()).isEqualTo(3 * 98);
    }

    @Test
    void groupsBehindEachOtherInLittleMemoryDoNotDeadlock() throws InterruptedException {
        EngineHarness tight = new EngineHarness(3, 14, 2 * MIB, 64);
        int[] head = tokens(33);
        List<Generation> generations = new ArrayList<>();
        List<int[]> all = new ArrayList<>();
        for (int i = 0; i < 12; i++) {
            List<int[]> prompts = prompts(append(i % 3 == 0 ? tokens(33) : head, tokens(40)), 20, 1 + i % 4);
            generations.addAll(tight.submit(group(prompts, 33)));
            all.addAll(prompts);
            if (i % 5 == 0) {
                int[] large = tokens(200);
                all.add(large);
                generations.add(tight.submit(EngineHarness.generation(large, NEW_TOKENS)));
            }
        }
        tight.runUntilIdle();
        assertAsAlone(generations, all);
    }

    @Test
    void aHeadIsComputedOnceForAllGroups() throws InterruptedException {
        int[] head = tokens(40);
        for (int i = 0; i < 3; i++) {
            List<int[]> prompts = prompts(append(head, tokens(60)), 5, 3);
            List<Generation> generations = engine.submit(group(prompts, 40));
            engine.runUntilIdle();
            assertAsAlone(generations, prompts);
            assertThat(generations)
                    .extracting(generation -> generation.future().join().usage().sharedTokens())
                    .containsExactly(i == 0 ? 0 : 40, 100, 100);
        }
        assertThat(engine.loop.stats().prefillTokens()).isEqualTo(40 + 3 * (60 + 3 * 5));
        assertThat(engine.runner.openRows()).isEqualTo(1);
    }

    @Test
    void aSinglePromptContinuesAHeadToo() throws InterruptedException {
        int[] head = tokens(40);
        List<int[]> prompts = List.of(append(head, tokens(7)), append(head, tokens(70)), append(head, tokens(1)));
        List<Generation> generations = new ArrayList<>();
        for (int[] prompt : prompts) {
            generations.addAll(engine.submit(group(List.of(prompt), 40)));
        }
        engine.runUntilIdle();
        assertAsAlone(generations, prompts);
        assertThat(engine.loop.stats().prefillTokens()).isEqualTo(40 + 7 + 70 + 1);
    }

    @Test
    void headsMakeRoomForARequestThatNeedsTheirMemory() throws InterruptedException {
        EngineHarness tight = new EngineHarness(2, 12, 8 * MIB, 64);
        int[] head = tokens(40);
        tight.submit(group(List.of(append(head, tokens(10))), 40));
        tight.submit(group(List.of(append(tokens(32), tokens(10))), 32));
        tight.runUntilIdle();
        assertThat(tight.runner.openRows()).isEqualTo(2);
        int[] large = tokens(12 * 16 - NEW_TOKENS);
        assertAsAlone(List.of(tight.submit(EngineHarness.generation(large, NEW_TOKENS))), List.of(large), tight);
        assertThat(tight.runner.openRows()).isZero();
        int[] again = append(head, tokens(3));
        assertAsAlone(tight.submit(group(List.of(again), 40)), List.of(again), tight);
    }

    @Test
    void cancellingOneLeavesTheOthers() throws InterruptedException {
        List<int[]> prompts = prompts(tokens(130), 20, 6);
        List<Generation> generations = engine.submit(group(prompts, 0));
        engine.loop.step();
        engine.inbox.cancel(generations.get(0)); // while the prefix is computed
        for (int i = 0; i < 4; i++) {
            engine.loop.step();
        }
        engine.inbox.cancel(generations.get(2)); // runs
        engine.inbox.cancel(generations.get(5)); // waits
        engine.runUntilIdle();
        for (int i : new int[] {0, 2, 5}) {
            assertThat(generations.get(i).future().join().finishReason()).isEqualTo(FinishReason.CANCELLED);
        }
        for (int i : new int[] {1, 3, 4}) {
            assertAsAlone(List.of(generations.get(i)), List.of(prompts.get(i)));
        }
        assertAllFree();
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3, 4, 5, 8})
    void cancellingAllReturnsEverythingAtAnyTime(int steps) throws InterruptedException {
        List<Generation> generations = engine.submit(group(prompts(tokens(130), 20, 6), 0));
        for (int i = 0; i < steps; i++) {
            engine.loop.step();
        }
        generations.forEach(engine.inbox::cancel);
        engine.runUntilIdle();
        assertThat(generations).allMatch(generation -> generation.future().isDone());
        assertAllFree();
    }

    @Test
    void anErrorInWhatIsSharedIsEveryonesError() throws InterruptedException {
        int[] document = tokens(40);
        document[20] = FakeRunner.POISON;
        List<Generation> generations = engine.submit(group(prompts(document, 5, 3), 30));
        engine.runUntilIdle();
        assertThat(generations)
                .allMatch(generation -> generation.future().join().error().equals("poisoned"));
    }

    @Test
    void anErrorInOnePromptIsItsOwn() throws InterruptedException {
        List<int[]> prompts = prompts(tokens(40), 5, 3);
        prompts.get(1)[42] = FakeRunner.POISON;
        List<Generation> generations = engine.submit(group(prompts, 0));
        engine.runUntilIdle();
        assertThat(generations.get(1).future().join().error()).isEqualTo("poisoned");
        assertAsAlone(List.of(generations.get(0), generations.get(2)), List.of(prompts.get(0), prompts.get(2)));
        assertAllFree();
    }

    @Test
    void aRefusedPromptLeavesTheOthersOfItsGroup() throws Exception {
        int[] document = tokens(100);
        List<int[]> prompts = List.of(append(document, tokens(5)), append(document, tokens(500)), new int[0]);
        try (NosaEngine started = EngineHarness.start(EngineHarness.config().build())) {
            List<GenerationResult> results = new ArrayList<>();
            for (RequestHandle<GenerationResult> handle : started.generate(group(prompts, 64))) {
                results.add(handle.result().get());
            }
            assertThat(results.get(0).tokens()).isEqualTo(EngineHarness.expected(prompts.get(0), NEW_TOKENS));
            assertThat(results.get(1).error()).contains("needs 601 tokens of context", "--max-context");
            assertThat(results.get(2).error()).isEqualTo("the prompt is empty");
        }
    }

    @Test
    void closingTheEngineEndsAGroup() throws Exception {
        NosaEngine started = EngineHarness.start(EngineHarness.config().build());
        List<RequestHandle<GenerationResult>> handles =
                started.generate(new GenerationGroup(requests(prompts(tokens(100), 5, 9), 300), 64));
        started.close();
        // Some may have ended before.
        assertThat(handles)
                .allMatch(handle ->
                        handle.result().isDone() && handle.result().join().finishReason() != FinishReason.ERROR);
    }

    @Test
    void aGroupHasARequest() {
        assertThatThrownBy(() -> new GenerationGroup(List.of(), 0)).hasMessage("a group of requests is empty");
        assertThatThrownBy(() -> group(prompts(tokens(3), 1, 1), -1)).hasMessage("head tokens = -1: must be 0 or more");
    }

    private void assertAllFree() {
        assertThat(engine.cache.hostBlocksFree()).isEqualTo(engine.cache.hostBlocksTotal());
        assertThat(engine.runner.openRows()).isZero();
        assertThat(engine.inbox.unfinished()).isEmpty();
        assertThat(engine.inbox.waiting()).isZero();
    }

    private static void assertAsAlone(List<Generation> generations, List<int[]> prompts, EngineHarness engine) {
        engine.runUntilIdle();
        assertAsAlone(generations, prompts);
    }

    private static void assertAsAlone(List<Generation> generations, List<int[]> prompts) {
        assertThat(generations).hasSameSizeAs(prompts);
        for (int i = 0; i < prompts.size(); i++) {
            int[] expected = EngineHarness.expected(prompts.get(i), NEW_TOKENS);
            GenerationResult result = generations.get(i).future().getNow(null);
            if (Arrays.stream(expected).noneMatch(token -> token == ByteTokenizer.UNDECODABLE)) {
                assertThat(result.error()).isNull();
                assertThat(result.tokens()).isEqualTo(expected);
            }
        }
    }

    private static GenerationGroup group(List<int[]> prompts, int headTokens) {
        return new GenerationGroup(requests(prompts, NEW_TOKENS), headTokens);
    }

    private static List<GenerationRequest> requests(List<int[]> prompts, int newTokens) {
        return prompts.stream()
                .map(prompt -> EngineHarness.generation(prompt, newTokens))
                .toList();
    }

    /** {@code document} with {@code count} different ends of {@code own} tokens. */
    private List<int[]> prompts(int[] document, int own, int count) {
        List<int[]> prompts = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int[] end = tokens(own);
            end[0] = 50 + i; // so that no two begin alike
            prompts.add(append(document, end));
        }
        return prompts;
    }

    private static int[] append(int[] first, int[] second) {
        int[] both = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }

    private int[] tokens(int count) {
        return EngineHarness.randomTokens(random, count);
    }
}
