package dev.nosa.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import dev.nosa.checkpoint.CheckpointException;
import dev.nosa.checkpoint.JsonFiles;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/**
 * What {@code tokenizer.json} says of its ids; the native library does not tell.
 *
 * @param size all ids are below it
 * @param specialIds ids that decode to nothing
 */
record TokenizerVocabulary(int size, Set<Integer> specialIds) {
    TokenizerVocabulary {
        specialIds = Set.copyOf(specialIds);
    }

    static TokenizerVocabulary read(Path file) {
        JsonNode root = JsonFiles.readObject(file);
        JsonNode vocabulary = root.path("model").path("vocab");
        if (vocabulary.isEmpty()) {
            throw new CheckpointException(file + ": not a tokenizer: model.vocab is missing or empty");
        }
        // Unigram lists its pieces in the order of their ids; the other models map each to its id.
        int largest = vocabulary.isArray() ? vocabulary.size() - 1 : -1;
        if (vocabulary.isObject()) {
            for (JsonNode id : vocabulary) {
                largest = Math.max(largest, id(file, id));
            }
        }
        Set<Integer> special = new HashSet<>();
        for (JsonNode added : root.path("added_tokens")) {
            int id = id(file, added.path("id"));
            largest = Math.max(largest, id);
            if (added.path("special").asBoolean()) {
                special.add(id);
            }
        }
        return new TokenizerVocabulary(Math.addExact(largest, 1), special);
    }

    private static int id(Path file, JsonNode id) {
        if (!id.isIntegralNumber()
                || !id.canConvertToInt()
                || id.intValue() < 0
                || id.intValue() == Integer.MAX_VALUE) {
            throw new CheckpointException(file + ": not a tokenizer: " + id + " is no token id");
        }
        return id.intValue();
    }
}
