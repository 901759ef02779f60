package dev.nosa.spark.ml;

import dev.nosa.arrow.ResultSchema;
import java.util.List;
import org.apache.spark.ml.param.DoubleParam;
import org.apache.spark.ml.param.IntParam;
import org.apache.spark.ml.param.LongParam;
import org.apache.spark.ml.param.Param;
import org.apache.spark.ml.util.DefaultParamsReader;
import org.apache.spark.ml.util.Identifiable;
import org.apache.spark.ml.util.MLReader;
import org.apache.spark.sql.types.DataTypes;

/**
 * {@code nosa_generate} as a stage of a pipeline.
 *
 * <pre>{@code
 * new Pipeline().setStages(new PipelineStage[] {
 *     new NosaGenerator().setModel("/models/NOSA-1B").setPrompt("Summarize: {text}").setOutputCol("summary"),
 *     new Tokenizer().setInputCol("summary").setOutputCol("words")
 * });
 * }</pre>
 */
public final class NosaGenerator extends NosaTransformer<NosaGenerator> {
    private static final long serialVersionUID = 1L;

    private final IntParam maxNewTokens = new IntParam(this, "maxNewTokens", "tokens generated at most");
    private final DoubleParam temperature = new DoubleParam(this, "temperature", "0 takes the likeliest token");
    private final IntParam topK = new IntParam(this, "topK", "likeliest tokens to sample from; 0: all");
    private final DoubleParam topP = new DoubleParam(this, "topP", "probability mass to sample from; 1: all");
    private final DoubleParam repetitionPenalty =
            new DoubleParam(this, "repetitionPenalty", "above 1 makes tokens less likely that occurred already");
    private final LongParam seed = new LongParam(this, "seed", "with the text it decides what is sampled");
    private final Param<String> stop = param("stop", "text that ends a generation");

    public NosaGenerator() {
        this(Identifiable.randomUID("nosaGenerator"));
    }

    /** With a saved stage's id. */
    public NosaGenerator(String uid) {
        super(uid, ResultSchema.GENERATION);
    }

    /** Loads what {@code write} saved. */
    public static MLReader<NosaGenerator> read() {
        return new DefaultParamsReader<>();
    }

    public static NosaGenerator load(String path) {
        return read().load(path);
    }

    @Override
    NosaGenerator self() {
        return this;
    }

    @Override
    Call call() {
        return new Call("nosa_generate", List.of(), ResultSchema.GENERATION, DataTypes.StringType);
    }

    public IntParam maxNewTokens() {
        return maxNewTokens;
    }

    public NosaGenerator setMaxNewTokens(int value) {
        set(maxNewTokens, value);
        return this;
    }

    public DoubleParam temperature() {
        return temperature;
    }

    public NosaGenerator setTemperature(double value) {
        set(temperature, value);
        return this;
    }

    public IntParam topK() {
        return topK;
    }

    public NosaGenerator setTopK(int value) {
        set(topK, value);
        return this;
    }

    public DoubleParam topP() {
        return topP;
    }

    public NosaGenerator setTopP(double value) {
        set(topP, value);
        return this;
    }

    public DoubleParam repetitionPenalty() {
        return repetitionPenalty;
    }

    public NosaGenerator setRepetitionPenalty(double value) {
        set(repetitionPenalty, value);
        return this;
    }

    public LongParam seed() {
        return seed;
    }

    public NosaGenerator setSeed(long value) {
        set(seed, value);
        return this;
    }

    public Param<String> stop() {
        return stop;
    }

    public NosaGenerator setStop(String value) {
        set(stop, value);
        return this;
    }
}
