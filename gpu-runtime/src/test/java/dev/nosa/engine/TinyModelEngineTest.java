package dev.nosa.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.nosa.sample.SamplingParams;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.testkit.TinyModel;
import dev.nosa.testkit.TinyTokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The whole engine over a checkpoint folder on CPU. */
class TinyModelEngineTest {
    @TempDir
    private static Path model;

    private final Random random = new Random(8);

    @BeforeAll
    static void writeModel() throws Exception {
        TinyModel.write(model);
    }

    @ParameterizedTest
    @EnumSource(AttentionMode.class)
    void aMixedBatchInChunksGivesWhatEachRequestGivesAlone(AttentionMode mode) throws Exception {
        List<GenerationRequest> requests = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            SamplingParams sampling = i % 2 == 0 ? SamplingParams.GREEDY : new SamplingParams(1f, 0, 0.9f, 1.1f, i);
            requests.add(new GenerationRequest(
                    "r" + i, prompt(1 + random.nextInt(400)), 1 + random.nextInt(24), sampling, List.of(), Set.of()));
        }
        List<GenerationResult> mixed = new ArrayList<>();
        try (InferenceEngine engine = NosaEngine.start(
                config().mode(mode).maxBatch(4).maxStepTokens(64).build())) {
            List<RequestHandle<GenerationResult>> handles = new ArrayList<>();
            for (GenerationRequest request : requests) {
                handles.add(engine.generate(request));
            }
            for (RequestHandle<GenerationResult> handle : handles) {
                mixed.add(handle.result().get());
            }
        }
        try (InferenceEngine engine = NosaEngine.start(
                config().mode(mode).maxBatch(1).maxStepTokens(512).build())) {
            for (int i = 0; i < requests.size(); i++) {
                GenerationResult alone =
                        engine.generate(requests.get(i)).result().get();
                assertThat(alone.error()).isNull();
                assertThat(mixed.get(i).tokens()).isEqualTo(alone.tokens());
                assertThat(mixed.get(i).text()).isEqualTo(alone.text());
            }
        }
    }

    @ParameterizedTest
    @EnumSource(AttentionMode.class)
    void promptsThatShareWhatTheyBeginWithGetWhatEachGetsAlone(AttentionMode mode) throws Exception {
        int[] head = prompt(75);
        List<GenerationGroup> groups = new ArrayList<>();
        for (int documentTokens : new int[] {1, 100, 307}) {
            int[] document = append(head, prompt(documentTokens));
            List<GenerationRequest> requests = new ArrayList<>();
            for (int i = 0; i < 6; i++) {
                SamplingParams sampling = i % 3 < 2 ? SamplingParams.GREEDY : new SamplingParams(1f, 0, 0.9f, 1.1f, i);
                requests.add(new GenerationRequest(
                        "r" + i, append(document, prompt(1 + 20 * i)), 10 + i, sampling, List.of(), Set.of()));
            }
            groups.add(new GenerationGroup(requests, head.length));
        }
        List<List<RequestHandle<GenerationResult>>> shared = new ArrayList<>();
        try (InferenceEngine engine = NosaEngine.start(
                config().mode(mode).maxBatch(4).maxStepTokens(128).build())) {
            for (GenerationGroup group : groups) {
                shared.add(engine.generate(group));
            }
            for (List<RequestHandle<GenerationResult>> handles : shared) {
                for (RequestHandle<GenerationResult> handle : handles) {
                    handle.result().get();
                }
            }
            // One token beside the head is not worth a prefix.
            assertThat(engine.stats().prefillTokens()).isEqualTo(75 + 6 * 1 + 100 + 307 + 3 * (6 + 300));
        }
        try (InferenceEngine engine =
                NosaEngine.start(config().mode(mode).maxBatch(1).build())) {
            for (int g = 0; g < groups.size(); g++) {
                for (int i = 0; i < 6; i++) {
                    GenerationRequest request = groups.get(g).requests().get(i);
                    GenerationResult alone = engine.generate(request).result().get();
                    GenerationResult together = shared.get(g).get(i).result().get();
                    assertThat(together.error()).isNull();
                    assertThat(together.tokens()).isEqualTo(alone.tokens());
                    assertThat(together.finishReason()).isEqualTo(alone.finishReason());
                }
            }
        }
    }

    private static int[] append(int[] first, int[] second) {
        int[] both = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }

    @ParameterizedTest
    @EnumSource(AttentionMode.class)
    void aContinuationHasTheSameScoresWhereverThePromptIsCut(AttentionMode mode) throws Exception {
        int[] text = prompt(260);
        try (InferenceEngine engine = NosaEngine.start(config().mode(mode).build())) {
            float[] whole = score(engine, text, 150);
            for (int cut : new int[] {151, 160, 208, 259}) {
                float[] part = score(engine, text, cut);
                float[] tail = Arrays.copyOfRange(whole, cut - 150, whole.length);
                for (int i = 0; i < part.length; i++) {
                    assertThat(part[i]).isCloseTo(tail[i], within(1e-4f));
                }
            }
        }
    }

    @Test
    void aGreedyTokenHasTheHighestScoreOfAll() throws Exception {
        int[] prompt = prompt(130);
        try (InferenceEngine engine = NosaEngine.start(config().build())) {
            GenerationResult result = engine.generate(EngineHarness.generation(prompt, 1))
                    .result()
                    .get();
            List<int[]> all = new ArrayList<>();
            for (int token = 0; token < engine.model().vocabSize(); token++) {
                all.add(new int[] {token});
            }
            ScoringResult scores =
                    engine.score(new ScoringRequest("s", prompt, all)).result().get();
            double sum =
                    scores.scores().stream().mapToDouble(s -> Math.exp(s.sum())).sum();
            double best = scores.scores().stream()
                    .mapToDouble(ScoringResult.Score::sum)
                    .max()
                    .orElseThrow();
            assertThat(sum).isCloseTo(1, within(1e-4));
            assertThat(scores.scores().get(result.tokens()[0]).sum()).isEqualTo(best);
        }
    }

    @Test
    void dummyWeightsNeedNoneInTheFolder(@TempDir Path folder) throws Exception {
        TinyModel.write(folder);
        try (Stream<Path> weights = Files.list(folder)) {
            for (Path file : weights.filter(path -> path.toString().contains("safetensors"))
                    .toList()) {
                Files.delete(file);
            }
        }
        EngineConfig.Builder wanted = EngineConfig.builder(folder).threads(1);
        assertThatThrownBy(() -> NosaEngine.start(wanted.build()))
                .hasMessageContaining("holds neither model.safetensors");
        try (InferenceEngine engine =
                NosaEngine.start(wanted.loadFormat("dummy").build())) {
            GenerationResult result = engine.generate(EngineHarness.generation(prompt(130), 3))
                    .result()
                    .get();
            assertThat(result.error()).isNull();
        }
        assertThatThrownBy(() -> wanted.loadFormat("random").build())
                .hasMessage("load-format = random: must be auto or dummy");
    }

    @Test
    void engineMemoryThatIsTooSmallIsAnErrorBeforeAnythingRuns() {
        assertThatThrownBy(() -> NosaEngine.start(config().hostKvBytes(100).build()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("--host-kv");
    }

    private float[] score(InferenceEngine engine, int[] text, int cut) throws Exception {
        int[] prompt = Arrays.copyOf(text, cut);
        int[] continuation = Arrays.copyOfRange(text, cut, text.length);
        ScoringResult result = engine.score(new ScoringRequest("s", prompt, List.of(continuation)))
                .result()
                .get();
        assertThat(result.error()).isNull();
        return result.scores().get(0).logProbs();
    }

    private static EngineConfig.Builder config() {
        return EngineConfig.builder(model)
                .backend("cpu")
                .threads(1)
                .hostKvBytes(64L << 20)
                .deviceKvBytes(64L << 20);
    }

    private int[] prompt(int tokens) {
        return random.ints(tokens, TinyTokenizer.FIRST_BYTE, TinyTokenizer.VOCAB)
                .toArray();
    }
}
