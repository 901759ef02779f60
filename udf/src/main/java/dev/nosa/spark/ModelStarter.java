package dev.nosa.spark;

import dev.nosa.engine.EngineConfig;
import dev.nosa.engine.NosaEngine;
import dev.nosa.tokenizer.ChatTemplate;
import java.io.Serializable;
import java.util.Optional;

/** Loads a model and starts its engine, on an executor. */
@FunctionalInterface
interface ModelStarter extends Serializable {
    /** The engine of a checkpoint folder. */
    ModelStarter NOSA = config -> {
        Optional<ChatTemplate> chat = ChatTemplate.load(config.model());
        return new HostedModel(NosaEngine.start(config), chat);
    };

    HostedModel start(EngineConfig config);
}
