package dev.nosa.engine;

import dev.nosa.cache.DeviceMemory;
import dev.nosa.cache.KvLayout;
import dev.nosa.cache.MemoryBudget;
import dev.nosa.model.ModelConfig;
import dev.nosa.runner.ModelRunners;
import dev.nosa.runner.RunnerOptions;
import dev.nosa.schedule.DevicePlan;
import dev.nosa.schedule.MemoryPlanner;

/**
 * An engine's memory: what its requests share, and what its runner is made with.
 *
 * @param maxContext longest sequence, in tokens
 */
record Memory(int maxContext, KvLayout layout, MemoryBudget budget, RunnerOptions options) {
    /** An {@link IllegalArgumentException} says what does not fit, and which option to change. */
    static Memory plan(EngineConfig config, ModelConfig model, String backend) {
        boolean gpu = ModelRunners.hasDeviceMemory(backend);
        EngineSettings settings = EngineSettings.of(config, model, gpu);
        return gpu ? planDevice(config, settings, model, backend) : planHeap(config, settings, backend);
    }

    private static Memory planHeap(EngineConfig config, EngineSettings settings, String backend) {
        MemoryBudget budget = new MemoryPlanner(settings.layout(), settings.maxContext(), settings.maxBatch())
                .plan(
                        config.hostKvBytes(),
                        config.deviceKvBytes(),
                        Runtime.getRuntime().maxMemory());
        RunnerOptions options = options(config, settings, backend, settings.maxBatch(), budget, 0);
        return new Memory(settings.maxContext(), settings.layout(), budget, options);
    }

    private static Memory planDevice(EngineConfig config, EngineSettings settings, ModelConfig model, String backend) {
        MemoryBudget unknown = new MemoryBudget(0, 0, 0);
        RunnerOptions asked = options(config, settings, backend, settings.maxBatch(), unknown, 0);
        DeviceMemory memory = ModelRunners.deviceMemory(model, settings.layout(), asked);
        boolean fixedSlots = config.slots() > 0 || config.memory().equals("resident");
        DevicePlan plan = DevicePlan.of(
                settings.layout(),
                memory,
                new DevicePlan.Wishes(
                        settings.maxContext(),
                        settings.maxBatch(),
                        settings.maxStepTokens(),
                        fixedSlots ? settings.layout().slots() : 0,
                        config.hostKvBytes(),
                        config.deviceKvBytes()));
        RunnerOptions options = options(config, settings, backend, plan.maxBatch(), plan.budget(), plan.pages());
        return new Memory(settings.maxContext(), plan.layout(), plan.budget(), options);
    }

    private static RunnerOptions options(
            EngineConfig config,
            EngineSettings settings,
            String backend,
            int maxBatch,
            MemoryBudget budget,
            int devicePages) {
        return new RunnerOptions(
                backend,
                config.device(),
                budget.hostBlocks(),
                devicePages,
                settings.maxContext(),
                budget.rows(),
                maxBatch,
                settings.maxStepTokens(),
                config.weightDtype(),
                config.threads());
    }
}
