package dev.nosa.reference;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.nosa.engine.EngineConfig;
import dev.nosa.engine.EngineStats;
import dev.nosa.engine.GenerationGroup;
import dev.nosa.engine.GenerationRequest;
import dev.nosa.engine.GenerationResult;
import dev.nosa.engine.InferenceEngine;
import dev.nosa.engine.NosaEngine;
import dev.nosa.engine.RequestHandle;
import dev.nosa.sample.SamplingParams;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.LongStream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
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

    /** Where a chunk begins changes how BF16 rounds sums; of all answers. */
    private static final double MOST_OTHERS = 0.05;

    private static final int HEAD = 70;

    private enum Memory {
        /** 33 slots of up to 127 blocks. */
        OFFLOAD("offload", 33, 4L << 30),
        /** Pages for a long prompt and a few sequences, so that documents' pages are given back to make room. */
        TIGHT("offload", 33, 90L << 20),
        RESIDENT("resident", 0, 4L << 30);

        private final String place;
        private final int slots;
        private final long deviceBytes;

        Memory(String place, int slots, long deviceBytes) {
            this.place = place;
            this.slots = slots;
            this.deviceBytes = deviceBytes;
        }
    }

    private final List<int[]> documents = documents();

    @ParameterizedTest
    @EnumSource(Memory.class)
    void groupsAnswerAsEachPromptAlone(Memory memory) throws Exception {
        assertThat(documents).hasSizeGreaterThan(5);
        int[] head = Arrays.copyOf(documents.get(0), HEAD);
        List<List<GenerationRequest>> groups = documents.stream()
                .map(document -> questions(head, document, documents))
                .toList();
        List<GenerationResult> together = new ArrayList<>();
        List<GenerationResult> alone = new ArrayList<>();
        try (InferenceEngine engine = NosaEngine.start(config(memory))) {
            List<RequestHandle<GenerationResult>> handles = new ArrayList<>();
            long prefill = HEAD;
            for (List<GenerationRequest> group : groups) {
                handles.addAll(engine.generate(new GenerationGroup(group, HEAD)));
                prefill += group.get(0).prompt().length - HEAD + (long) (group.size() - 1) * OWN_TOKENS;
            }
            for (RequestHandle<GenerationResult> handle : handles) {
                together.add(handle.result().get());
            }
            // In little memory a head may have been given up and computed again.
            assertThat(engine.stats().prefillTokens())
                    .isBetween(prefill, memory == Memory.TIGHT ? prefill + 10 * HEAD : prefill);
            for (List<GenerationRequest> group : groups) {
                for (GenerationRequest request : group) {
                    alone.add(engine.generate(request).result().get());
                }
            }
            assertMisses(engine.stats(), memory);
        }
        assertAlike(together, alone, memory);
    }

    private static List<int[]> documents() {
        try {
            GoldenData vectors = new GoldenData(VECTORS);
            JsonNode sample = new ObjectMapper().readTree(vectors.metadata("sample"));
            return StreamSupport.stream(sample.get("documents").spliterator(), false)
                    .map(id -> vectors.ints(id.asText() + ".tokens"))
                    .filter(tokens -> tokens.length <= LONGEST)
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static EngineConfig config(Memory memory) {
        return EngineConfig.builder(MODEL)
                .backend("cuda")
                .memory(memory.place)
                .slots(memory.slots)
                .maxContext(HEAD + LONGEST + NEW_TOKENS)
                .maxBatch(memory == Memory.TIGHT ? 4 : 16)
                .hostKvBytes(4L << 30)
                .deviceKvBytes(memory.deviceBytes)
                .queueCapacity(1000)
                .build();
    }

    /** Forks of a document whose pages were given back fetch blocks too, which no decode step does. */
    private static void assertMisses(EngineStats stats, Memory memory) {
        long inDecodes = LongStream.of(stats.missedByLayer()).sum();
        long all = stats.traffic().missed();
        assertThat(inDecodes).isBetween(memory == Memory.TIGHT ? 1 : all, all);
        assertThat(inDecodes > 0).isEqualTo(memory != Memory.RESIDENT);
    }

    private static void assertAlike(List<GenerationResult> together, List<GenerationResult> alone, Memory memory) {
        int others = 0;
        for (int i = 0; i < together.size(); i++) {
            assertThat(together.get(i).error()).isNull();
            if (!Arrays.equals(alone.get(i).tokens(), together.get(i).tokens())) {
                others++;
                log.info(
                        "prompt {}: {}, alone {}",
                        i,
                        together.get(i).text(),
                        alone.get(i).text());
            }
        }
        log.info("{}: {} of {} answers are others in a group", memory, others, together.size());
        assertThat(others).isLessThanOrEqualTo((int) (MOST_OTHERS * together.size()));
    }

    /** The head, then the document with its own question, and with the others'. */
    private static List<GenerationRequest> questions(int[] head, int[] document, List<int[]> all) {
        List<GenerationRequest> requests = new ArrayList<>();
        for (int[] other : all) {
            int[] prompt = Arrays.copyOf(head, HEAD + document.length);
            System.arraycopy(document, 0, prompt, HEAD, document.length);
            System.arraycopy(other, other.length - OWN_TOKENS, prompt, prompt.length - OWN_TOKENS, OWN_TOKENS);
            prompt[prompt.length - OWN_TOKENS] = requests.size(); // so that no two begin alike
            requests.add(request(prompt));
        }
        return requests;
    }

    private static GenerationRequest request(int[] prompt) {
        return new GenerationRequest("q", prompt, NEW_TOKENS, SamplingParams.GREEDY, List.of(), Set.of());
    }
}
