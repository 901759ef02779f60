package dev.nosa.job;

import dev.nosa.cache.KvLayout;
import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.checkpoint.Checkpoints;
import dev.nosa.engine.EngineConfig;
import dev.nosa.engine.EngineSettings;
import dev.nosa.engine.NosaEngine;
import dev.nosa.model.ModelConfig;
import dev.nosa.model.ModelConfigParser;
import dev.nosa.tokenizer.HuggingFaceTokenizer;
import dev.nosa.tokenizer.Tokenizer;

/** What can be said about a model and its budgets from headers alone, before an executor loads it. */
final class ModelCheck {
    private ModelCheck() {}

    /** The checkpoint's configuration, if it can run as {@code engine} says. */
    static ModelConfig read(EngineConfig engine) {
        ModelConfig model;
        try (Checkpoint checkpoint = Checkpoints.open(engine.model(), engine.loadFormat())) {
            model = ModelConfigParser.parse(engine.model(), checkpoint);
        }
        settings(engine, model);
        requireTokenizer(engine, model);
        return model;
    }

    private static void requireTokenizer(EngineConfig engine, ModelConfig model) {
        try (Tokenizer tokenizer = HuggingFaceTokenizer.load(engine.model())) {
            NosaEngine.requireVocabulary(engine.model(), tokenizer, model);
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage(), "--model", e);
        }
    }

    private static EngineSettings settings(EngineConfig engine, ModelConfig model) {
        try {
            return EngineSettings.of(engine, model, false);
        } catch (IllegalArgumentException e) {
            throw UsageException.of(e);
        }
    }

    /** Fails if not even a document of one token fits the budgets that the user gave. */
    static void requireRoom(EngineConfig engine, ModelConfig model, int maxNewTokens) {
        int tokens = maxNewTokens + 1;
        int limit = engine.maxContext() > 0 ? engine.maxContext() : model.maxPositions();
        if (tokens > limit) {
            throw new UsageException(
                    "max-new-tokens = " + maxNewTokens + " leaves no room for a prompt in " + limit + " tokens",
                    "--max-new-tokens");
        }
        KvLayout layout = settings(engine, model).layout();
        require(engine.hostKvBytes(), layout.hostBytes(tokens), "host", "--host-kv");
        require(engine.deviceKvBytes(), layout.deviceBytes(tokens), "device", "--device-kv");
    }

    private static void require(long given, long needed, String tier, String option) {
        if (given > 0 && given < needed) {
            throw new UsageException(
                    ByteSize.format(given) + " of " + tier + " memory is less than the " + ByteSize.format(needed)
                            + " that the smallest document needs with its output",
                    option);
        }
    }
}
