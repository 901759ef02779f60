package dev.nosa.spark;

import dev.nosa.engine.EngineConfig;
import dev.nosa.sparse.AttentionMode;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Options that generation and scoring share. Values are checked by {@code build()}, columns by {@code transform}.
 *
 * @param <B> the builder itself
 */
public abstract class NosaBuilder<B extends NosaBuilder<B>> {
    private final EngineConfig.Builder engine;
    private EngineConfig wholeEngine;
    private String prompt;
    private Map<String, String> namedPrompts;
    private String system;
    private String textColumn = "text";
    private String idColumn = "id";
    private String errorColumn;
    private List<String> passThrough = List.of();
    private boolean useChatTemplate = true;
    private OnTooLong onTooLong = OnTooLong.ERROR;
    private RunProgress progress;
    private ModelStarter starter = ModelStarter.NOSA;

    NosaBuilder(String model) {
        engine = EngineConfig.builder(Path.of(model));
    }

    abstract B self();

    /** Prompt with {@code {column}} references; default: the text column alone. */
    public B prompt(String value) {
        prompt = value;
        return self();
    }

    /** Several prompts by name, in place of the one. */
    void namedPrompts(Map<String, String> templates) {
        namedPrompts = new LinkedHashMap<>(templates);
    }

    boolean hasNamedPrompts() {
        return namedPrompts != null;
    }

    /** System message; default: none. */
    public B system(String value) {
        system = value;
        return self();
    }

    /** The document's column, which a length policy cuts; default {@code text}. */
    public B textColumn(String value) {
        textColumn = value;
        return self();
    }

    /** The row's id; default {@code id}. */
    public B idColumn(String value) {
        idColumn = value;
        return self();
    }

    /** A text column: a row where it is not null gets no prompt, and this as its error; default: none. */
    public B errorColumn(String value) {
        errorColumn = value;
        return self();
    }

    /** Input columns to copy to the output. */
    public B passThrough(String... columns) {
        passThrough = List.of(columns);
        return self();
    }

    /** Whether to wrap the prompt if the checkpoint has a chat template; default true. */
    public B useChatTemplate(boolean value) {
        useChatTemplate = value;
        return self();
    }

    /** What to do with a prompt that is too long; default {@link OnTooLong#ERROR}. */
    public B onTooLong(OnTooLong value) {
        onTooLong = value;
        return self();
    }

    /** Totals to add to while the transformation runs. */
    public B progress(RunProgress value) {
        progress = value;
        return self();
    }

    /** All of the engine, model included, in place of the single options and of the model named at first. */
    public B engine(EngineConfig value) {
        wholeEngine = value;
        return self();
    }

    /** {@code auto}, or {@code dummy} for random weights. */
    public B loadFormat(String value) {
        engine.loadFormat(value);
        return self();
    }

    /** {@code auto}, {@code cpu} or {@code cuda}. */
    public B backend(String value) {
        engine.backend(value);
        return self();
    }

    /** Attention mode; default: the checkpoint's. */
    public B mode(AttentionMode value) {
        engine.mode(value);
        return self();
    }

    /** Documents that run at once on an executor; 0: 8 on CPU, what the memory holds on a GPU. */
    public B maxBatch(int value) {
        engine.maxBatch(value);
        return self();
    }

    /** Prompt tokens computed in one step; 0: 256 on CPU, 8,192 on a GPU. */
    public B maxStepTokens(int value) {
        engine.maxStepTokens(value);
        return self();
    }

    /** Longest prompt and output together, in tokens; 0: the model's. */
    public B maxContext(int value) {
        engine.maxContext(value);
        return self();
    }

    /** {@code offload}: the device holds some blocks of the KV cache, {@code resident}: all. */
    public B memory(String value) {
        engine.memory(value);
        return self();
    }

    /**
     * Blocks on the device per sequence, layer and KV head; 0: twice the selection on CPU, what the memory holds on a GPU.
     */
    public B slots(int value) {
        engine.slots(value);
        return self();
    }

    /** Bytes of KV blocks in host memory; 0: automatic. */
    public B hostKv(long bytes) {
        engine.hostKvBytes(bytes);
        return self();
    }

    /** Bytes of KV state on the device; 0: automatic. */
    public B deviceKv(long bytes) {
        engine.deviceKvBytes(bytes);
        return self();
    }

    /** {@code f32} or {@code bf16}. */
    public B kvDtype(String value) {
        engine.kvDtype(value);
        return self();
    }

    /** {@code f32} or {@code bf16}. */
    public B weightDtype(String value) {
        engine.weightDtype(value);
        return self();
    }

    /** CPU threads of an executor's engine; 0: all processors. */
    public B threads(int value) {
        engine.threads(value);
        return self();
    }

    /** Requests that may wait in an executor's engine; default 64. */
    public B queueCapacity(int value) {
        engine.queueCapacity(value);
        return self();
    }

    /** What starts the engine, where it is not the real one. */
    B starter(ModelStarter value) {
        starter = value;
        return self();
    }

    /** {@code options} as a transformation. */
    RowTransformer transformer(TransformOptions options) {
        return new RowTransformer(options, starter, progress);
    }

    TransformOptions options(TransformOptions.Generation generation, TransformOptions.Scoring scoring) {
        requireName("text-column", textColumn);
        requireName("id-column", idColumn);
        return new TransformOptions(
                EngineOptions.of(wholeEngine == null ? engine.build() : wholeEngine),
                prompts(),
                system,
                textColumn,
                idColumn,
                errorColumn,
                passThrough,
                useChatTemplate,
                onTooLong,
                generation,
                scoring);
    }

    private Prompts prompts() {
        if (namedPrompts == null) {
            return Prompts.single(PromptTemplate.parse(prompt == null ? "{" + textColumn + "}" : prompt));
        }
        if (prompt != null) {
            throw new IllegalArgumentException("prompts: give either one prompt or named ones, not both");
        }
        return Prompts.named(namedPrompts);
    }

    private static void requireName(String option, String name) {
        if (name == null || name.isBlank()) {
            throw new IllegalArgumentException(option + " is empty: must name a column");
        }
    }
}
