package dev.nosa.job;

import dev.nosa.engine.EngineConfig;
import dev.nosa.sparse.AttentionMode;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** The checkpoint, and how the engine runs it. */
final class ModelOptions {
    @Option(
            names = "--model",
            paramLabel = "DIR",
            description = "Folder of the checkpoint in Hugging Face layout (required)")
    Path model;

    @Option(
            names = "--load-format",
            paramLabel = "NAME",
            defaultValue = "auto",
            description =
                    "auto, or dummy: random weights, to measure a model of which only configuration and tokenizer are"
                            + " there (default: auto)")
    String loadFormat;

    @Option(
            names = "--mode",
            paramLabel = "MODE",
            description = "Attention: nosa, infllm_v2, dma or full (default: the checkpoint's)")
    String mode;

    @Option(
            names = "--backend",
            paramLabel = "NAME",
            defaultValue = "auto",
            description = "auto, cpu or cuda (default: auto)")
    String backend;

    @Option(
            names = "--host-kv",
            paramLabel = "BYTES",
            defaultValue = "0",
            converter = ByteSize.class,
            description = "KV blocks in host memory, for instance 4g (default: 0, 40 %% of the heap on CPU, with a GPU"
                    + " what the container or machine has beside the heap)")
    long hostKv;

    @Option(
            names = "--device-kv",
            paramLabel = "BYTES",
            defaultValue = "0",
            converter = ByteSize.class,
            description =
                    "KV slots and compressed keys on the device (default: 0, 20 %% of the heap on CPU, what is free"
                            + " on a GPU)")
    long deviceKv;

    @Option(
            names = "--memory",
            paramLabel = "WHERE",
            defaultValue = "offload",
            description = "offload: the device holds some blocks of the KV cache, resident: all (default: offload)")
    String memory;

    @Option(
            names = "--slots",
            paramLabel = "N",
            defaultValue = "0",
            description =
                    "Blocks on the device per sequence, layer and KV head (default: 0, twice the selection on CPU,"
                            + " what the memory holds on a GPU)")
    int slots;

    @Option(
            names = "--max-batch",
            paramLabel = "N",
            defaultValue = "0",
            description = "Documents that run at once (default: 0, 8 on CPU, what the memory holds on a GPU)")
    int maxBatch;

    @Option(
            names = "--max-context",
            paramLabel = "TOKENS",
            defaultValue = "0",
            description = "Longest prompt and output together (default: 0, the model's length)")
    int maxContext;

    @Option(
            names = "--max-step-tokens",
            paramLabel = "TOKENS",
            defaultValue = "0",
            description =
                    "Prompt tokens computed in one step, a multiple of 64 (default: 0, 256 on CPU, 8192 on a GPU)")
    int maxStepTokens;

    @Option(
            names = "--kv-dtype",
            paramLabel = "TYPE",
            defaultValue = "f32",
            description = "KV blocks: f32 or bf16 (default: f32)")
    String kvDtype;

    @Option(
            names = "--weight-dtype",
            paramLabel = "TYPE",
            defaultValue = "f32",
            description = "Weights in memory: f32 or bf16 (default: f32)")
    String weightDtype;

    @Option(
            names = "--threads",
            paramLabel = "N",
            defaultValue = "0",
            description = "CPU threads of the engine (default: 0, all processors)")
    int threads;

    EngineConfig engineConfig() {
        if (model == null) {
            throw new UsageException("the folder of a checkpoint is required", "--model");
        }
        try {
            // Executors run in folders of their own.
            return EngineConfig.builder(model.toAbsolutePath())
                    .loadFormat(loadFormat)
                    .backend(backend)
                    .mode(mode == null ? null : AttentionMode.parse(mode))
                    .maxBatch(maxBatch)
                    .maxStepTokens(maxStepTokens)
                    .maxContext(maxContext)
                    .memory(memory)
                    .slots(slots)
                    .hostKvBytes(hostKv)
                    .deviceKvBytes(deviceKv)
                    .kvDtype(kvDtype)
                    .weightDtype(weightDtype)
                    .threads(threads)
                    .build();
        } catch (IllegalArgumentException e) {
            throw e.getMessage().startsWith("unknown attention mode")
                    ? new UsageException(e.getMessage(), "--mode", e)
                    : UsageException.of(e);
        }
    }
}
