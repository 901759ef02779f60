package dev.nosa.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.sample.SamplingParams;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class GenerationTest {
    private static final long MIB = 1L << 20;

    private final EngineHarness engine = new EngineHarness(4, 128, 4 * MIB, 128);
    private final Random random = new Random(5);

    @Test
    void maxNewTokensEndByLength() throws InterruptedException {
        int[] prompt = tokens(70);
        GenerationResult result = engine.generate(EngineHarness.generation(prompt, 5));
        assertThat(result.tokens()).isEqualTo(EngineHarness.expected(prompt, 5));
        assertThat(result.finishReason()).isEqualTo(FinishReason.LENGTH);
        assertThat(result.error()).isNull();
        assertThat(result.id()).isEqualTo("g");
        assertThat(result.text()).isEqualTo(engine.tokenizer.decode(result.tokens()));
        assertThat(engine.loop.stats().decodeTokens()).isEqualTo(5);
    }

    @Test
    void theContextEndsByLength() throws InterruptedException {
        int[] prompt = tokens(EngineHarness.MAX_CONTEXT - 3);
        GenerationResult result = engine.generate(EngineHarness.generation(prompt, Integer.MAX_VALUE));
        assertThat(result.tokens()).isEqualTo(EngineHarness.expected(prompt, 3));
        assertThat(result.finishReason()).isEqualTo(FinishReason.LENGTH);
    }

    @Test
    void aStopTokenEndsTheGenerationAndIsLeftOut() throws InterruptedException {
        int[] prompt = tokens(9);
        int[] expected = EngineHarness.expected(prompt, 4);
        GenerationResult result = engine.generate(
                new GenerationRequest("g", prompt, 50, SamplingParams.GREEDY, List.of(), Set.of(expected[3])));
        assertThat(result.finishReason()).isEqualTo(FinishReason.STOP);
        assertThat(result.tokens()).isEqualTo(Arrays.copyOf(expected, 3));
    }

    @Test
    void theModelsEndTokenEndsTheGeneration() throws InterruptedException {
        int[] prompt = tokens(9);
        int[] expected = EngineHarness.expected(prompt, 1);
        GenerationRequest request = EngineHarness.generation(prompt, 50);
        Generation generation = Generation.of(
                request, Set.of(expected[0]), EngineHarness.MAX_CONTEXT, engine.tokenizer.newDecoder(), engine.layout);
        engine.inbox.submit(List.of(generation));
        engine.runUntilIdle();
        GenerationResult result = generation.future().join();
        assertThat(result.finishReason()).isEqualTo(FinishReason.STOP);
        assertThat(result.tokens()).isEmpty();
        assertThat(result.usage().outputTokens()).isZero();
    }

    @Test
    void aStopStringEndsTheText() throws InterruptedException {
        int[] prompt = promptWithText(6);
        String text = engine.tokenizer.decode(EngineHarness.expected(prompt, 6));
        String stop = text.substring(3, 5);
        GenerationResult result = engine.generate(EngineHarness.generation(prompt, 6, stop));
        assertThat(result.finishReason()).isEqualTo(FinishReason.STOP);
        assertThat(result.text()).isEqualTo(text.substring(0, text.indexOf(stop)));
    }

    @Test
    void aResultDoesNotDependOnBatchMatesOrChunks() throws InterruptedException {
        int[] prompt = tokens(200);
        GenerationRequest request = EngineHarness.generation(prompt, 12);
        Generation mixed = engine.submit(request);
        for (int i = 0; i < 10; i++) {
            engine.submit(EngineHarness.generation(tokens(1 + random.nextInt(150)), 8));
        }
        engine.runUntilIdle();
        EngineHarness alone = new EngineHarness(1, 128, 4 * MIB, 512);
        assertThat(mixed.future().join().tokens())
                .isEqualTo(alone.generate(request).tokens());
    }

    @Test
    void anErrorOfOneSequenceLeavesItsBatchMatesAlone() throws InterruptedException {
        Generation poisoned = engine.submit(EngineHarness.generation(new int[] {5, FakeRunner.POISON}, 5));
        int[] prompt = tokens(30);
        Generation mate = engine.submit(EngineHarness.generation(prompt, 5));
        engine.runUntilIdle();
        assertThat(poisoned.future().join().finishReason()).isEqualTo(FinishReason.ERROR);
        assertThat(poisoned.future().join().error()).isEqualTo("poisoned");
        assertThat(mate.future().join().tokens()).isEqualTo(EngineHarness.expected(prompt, 5));
    }

    @Test
    void aTokenThatCannotBeDecodedIsThatRequestsError() throws InterruptedException {
        int[] prompt = promptThatStartsWith(ByteTokenizer.UNDECODABLE);
        GenerationResult result = engine.generate(EngineHarness.generation(prompt, 5));
        assertThat(result.finishReason()).isEqualTo(FinishReason.ERROR);
        assertThat(result.error())
                .contains("cannot decode token id " + ByteTokenizer.UNDECODABLE)
                .contains("no such piece");
    }

    @Test
    void cancellingKeepsWhatIsThereAndReturnsTheMemory() throws InterruptedException {
        int[] prompt = tokens(40);
        Generation running = engine.submit(EngineHarness.generation(prompt, 50));
        engine.loop.step();
        engine.loop.step();
        engine.inbox.cancel(running);
        engine.runUntilIdle();
        assertThat(running.future().join().finishReason()).isEqualTo(FinishReason.CANCELLED);
        assertThat(running.future().join().tokens()).isEqualTo(EngineHarness.expected(prompt, 2));
        assertThat(engine.runner.openRows()).isZero();
        assertThat(engine.cache.hostBlocksFree()).isEqualTo(128);
    }

    @Test
    void aWaitingRequestIsCancelledWithoutRunning() throws InterruptedException {
        Generation waiting = engine.submit(EngineHarness.generation(tokens(40), 50));
        engine.inbox.cancel(waiting);
        engine.runUntilIdle();
        assertThat(waiting.future().join().finishReason()).isEqualTo(FinishReason.CANCELLED);
        assertThat(engine.inbox.waiting()).isZero();
        assertThat(engine.loop.stats().steps()).isZero();
    }

    @Test
    void theCallersPromptIsNotChanged() throws InterruptedException {
        int[] prompt = tokens(33);
        int[] copy = prompt.clone();
        engine.generate(EngineHarness.generation(prompt, 40));
        assertThat(prompt).isEqualTo(copy);
    }

    @Test
    void usageAndStatisticsAddUp() throws InterruptedException {
        GenerationResult result = engine.generate(EngineHarness.generation(tokens(200), 4));
        EngineStats stats = engine.loop.stats();
        // Chunks of 128 and 72, then three decodes.
        assertThat(stats.steps()).isEqualTo(5);
        assertThat(stats.prefillTokens()).isEqualTo(200);
        assertThat(stats.decodeSlots()).isEqualTo(3 * 2 * 2);
        assertThat(stats.traffic()).isEqualTo(result.usage().traffic());
        assertThat(stats.traffic().missed()).isEqualTo(5);
        assertThat(stats.prefillSeconds()).isPositive();
        assertThat(stats.decodeSeconds()).isPositive();
        assertThat(stats.running()).isZero();
        assertThat(result.usage().promptTokens()).isEqualTo(200);
        assertThat(result.usage().outputTokens()).isEqualTo(4);
        assertThat(result.usage().prefillMillis()).isPositive();
        assertThat(result.usage().decodeMillis()).isPositive();
    }

    @Test
    void requestsThatCanNeverRunSayWhy() throws InterruptedException {
        assertError(EngineHarness.generation(new int[0], 5), "the prompt is empty");
        assertError(EngineHarness.generation(new int[] {5, 300}, 5), "token id 300 at index 1", "vocabulary of 300");
        assertError(EngineHarness.generation(tokens(512), 5), "needs 513 tokens", "there are 512", "--max-context");

        EngineHarness smallHost = new EngineHarness(1, 4, 4 * MIB, 128);
        GenerationResult host = smallHost.generate(EngineHarness.generation(tokens(60), 10));
        long blockBytes = smallHost.layout.hostBlockBytes();
        assertThat(host.error())
                .contains("needs " + 5 * blockBytes + " bytes of host KV", "there are " + 4 * blockBytes, "--host-kv");

        EngineHarness smallDevice = new EngineHarness(1, 64, 1000, 128);
        GenerationResult device = smallDevice.generate(EngineHarness.generation(tokens(60), 10));
        assertThat(device.error())
                .contains(
                        "needs " + smallDevice.layout.deviceBytes(69) + " bytes of device KV",
                        "there are 1000",
                        "--device-kv");
    }

    @Test
    void aRequestThatJustFitsRuns() throws InterruptedException {
        EngineHarness tight = new EngineHarness(1, 4, engine.layout.deviceBytes(64), 128);
        // 55 + 10 tokens, of which the last is never computed.
        assertThat(tight.generate(EngineHarness.generation(tokens(55), 10)).error())
                .isNull();
    }

    @Test
    void aRequestWithoutPromptOrSamplingIsRefusedAtOnce() {
        assertThatThrownBy(() -> EngineHarness.generation(null, 1)).hasMessage("prompt");
        assertThatThrownBy(() -> new GenerationRequest("g", new int[1], 1, null, List.of(), Set.of()))
                .hasMessage("sampling");
    }

    private void assertError(GenerationRequest request, String... parts) throws InterruptedException {
        GenerationResult result = engine.generate(request);
        assertThat(result.finishReason()).isEqualTo(FinishReason.ERROR);
        assertThat(result.error()).contains(parts);
        assertThat(result.usage().promptTokens()).isEqualTo(request.prompt().length);
    }

    private int[] tokens(int count) {
        return EngineHarness.randomTokens(random, count);
    }

    /** A prompt whose generation is printable text alone. */
    private int[] promptWithText(int count) {
        while (true) {
            int[] prompt = tokens(20);
            int[] generated = EngineHarness.expected(prompt, count);
            if (Arrays.stream(generated).allMatch(t -> t >= ByteTokenizer.FIRST_BYTE && t < 128)) {
                return prompt;
            }
        }
    }

    private int[] promptThatStartsWith(int generated) {
        while (true) {
            int[] prompt = tokens(20);
            if (EngineHarness.expected(prompt, 1)[0] == generated) {
                return prompt;
            }
        }
    }
}
