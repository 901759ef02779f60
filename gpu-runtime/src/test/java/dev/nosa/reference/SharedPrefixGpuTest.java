package dev.nosa.reference;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.nosa.engine.EngineConfig;
import dev.nosa.engine.FinishReason;
import dev.nosa.engine.GenerationGroup;
import dev.nosa.engine.GenerationRequest;
import dev.nosa.engine.GenerationResult;
import dev.nosa.engine.InferenceEngine;
import dev.nosa.engine.NosaEngine;
import dev.nosa.engine.RequestHandle;
import dev.nosa.sample.SamplingParams;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Several prompts about one document, by the engine on a GPU with the sample model: answers of the group and of each alone. */
@Tag("gpu")
class SharedPrefixGpuTest {
    private static final Logger log = LoggerFactory.getLogger(SharedPrefixGpuTest.class);

    private static final Path MODEL = Path.of("../sample-data/model");
    private static final Path VECTORS = Path.of("src/test/resources/vectors/sample-model.safetensors.gz");
    private static final int LONGEST = 8_000;
    private static final int NEW_TOKENS = 8;
    private static final int OWN_TOKENS = 24;

    /** Tokens behind a fork are computed as decodes are, and BF16 rounds their sums otherwise; of all answers. */
    private static final double MOST_OTHERS = 0.1;

    @ParameterizedTest
    @ValueSource(strings = {"offload", "resident"})
    void aGroupAnswersAsEachPromptAlone(String memory) throws Exception {
        GoldenData vectors = new GoldenData(VECTORS);
        JsonNode sample = new ObjectMapper().readTree(vectors.metadata("sample"));
        List<int[]> documents = StreamSupport.stream(sample.get("documents").spliterator(), false)
                .map(id -> vectors.ints(id.asText() + ".tokens"))
                .filter(tokens -> tokens.length <= LONGEST)
                .toList();
        assertThat(documents).hasSizeGreaterThan(5);
        int answers = 0;
        int others = 0;
        EngineConfig config = EngineConfig.builder(MODEL)
                .backend("cuda")
                .memory(memory)
                .maxContext(LONGEST + 2 * OWN_TOKENS)
                .maxBatch(16)
                .hostKvBytes(2L << 30)
                .deviceKvBytes(4L << 30)
                .build();
        try (InferenceEngine engine = NosaEngine.start(config)) {
            for (int[] document : documents) {
                List<GenerationRequest> requests = questions(document, documents);
                int shared = document.length - OWN_TOKENS;
                long before = engine.stats().prefillTokens();
                List<GenerationResult> together = results(engine.generate(new GenerationGroup(requests, 64)));
                long own = requests.stream()
                        .mapToLong(request -> request.prompt().length - shared)
                        .sum();
                assertThat(engine.stats().prefillTokens() - before).isEqualTo(shared + own);
                for (int i = 0; i < requests.size(); i++) {
                    GenerationResult alone =
                            engine.generate(requests.get(i)).result().get();
                    GenerationResult inGroup = together.get(i);
                    assertThat(inGroup.finishReason()).isNotIn(FinishReason.ERROR, FinishReason.CANCELLED);
                    assertThat(inGroup.usage().sharedTokens()).isEqualTo(i == 0 ? 0 : shared);
                    answers++;
                    if (!Arrays.equals(alone.tokens(), inGroup.tokens())) {
                        others++;
                        log.info("{} tokens, prompt {}: {}, alone {}", shared, i, inGroup.text(), alone.text());
                    }
                }
            }
            assertThat(engine.stats().running()).isZero();
            assertThat(engine.stats().hostBlocksFree()).isEqualTo(engine.stats().hostBlocksTotal());
        }
        log.info("{}: {} of {} answers are others in a group", memory, others, answers);
        assertThat(others).isLessThanOrEqualTo((int) (MOST_OTHERS * answers));
    }

    /** The document's own question, and the others' behind the same document. */
    private static List<GenerationRequest> questions(int[] document, List<int[]> all) {
        List<GenerationRequest> requests = new ArrayList<>();
        requests.add(request(document));
        for (int[] other : all) {
            if (other != document) {
                int[] prompt = Arrays.copyOf(document, document.length);
                System.arraycopy(other, other.length - OWN_TOKENS, prompt, document.length - OWN_TOKENS, OWN_TOKENS);
                requests.add(request(prompt));
            }
        }
        return requests;
    }

    private static GenerationRequest request(int[] prompt) {
        return new GenerationRequest("q", prompt, NEW_TOKENS, SamplingParams.GREEDY, List.of(), Set.of());
    }

    private static List<GenerationResult> results(List<RequestHandle<GenerationResult>> handles) throws Exception {
        List<GenerationResult> results = new ArrayList<>();
        for (RequestHandle<GenerationResult> handle : handles) {
            results.add(handle.result().get());
        }
        return results;
    }
}
