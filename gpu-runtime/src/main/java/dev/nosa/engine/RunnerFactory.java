package dev.nosa.engine;

import dev.nosa.cache.KvLayout;
import dev.nosa.runner.ModelRunner;
import dev.nosa.runner.RunnerOptions;

/** Makes the runner of an engine's model once its memory is planned. */
@FunctionalInterface
interface RunnerFactory {
    ModelRunner create(KvLayout layout, RunnerOptions options);
}
