package dev.nosa.job;

import dev.nosa.engine.EngineConfig;
import dev.nosa.engine.GenerationRequest;
import dev.nosa.engine.GenerationResult;
import dev.nosa.engine.InferenceEngine;
import dev.nosa.engine.NosaEngine;
import dev.nosa.engine.RequestHandle;
import dev.nosa.sample.SamplingParams;
import dev.nosa.spark.ExecutorEngine;
import dev.nosa.spark.NosaGenerate;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * The Spark job against the bare engine: the same documents, tokenized, generated from greedily and, by the job, written
 * as Parquet, in turn. Both engines have started and run a document before; starting them is not measured.
 */
final class SparkBench {
    private final Path model;
    private final String input;
    private final int newTokens;
    private final int repeats;
    private final int threads;

    SparkBench(Path model, String input, int newTokens, int repeats, int threads) {
        this.model = model;
        this.input = input;
        this.newTokens = newTokens;
        this.repeats = repeats;
        this.threads = threads;
    }

    /** Where measurements go. */
    interface Report {
        void add(String what, String unit, double value, Map<String, Object> labels);
    }

    void run(Report report) throws IOException {
        SparkSession spark = SparkSession.builder().appName("nosa bench").getOrCreate();
        Path output = Files.createTempDirectory("nosa-bench");
        EngineConfig config = EngineConfig.builder(model).threads(threads).build();
        try (InferenceEngine engine = NosaEngine.start(config)) {
            Dataset<Row> documents = spark.read().parquet(input).select("id", "text");
            List<String> texts = documents.select("text").as(Encoders.STRING()).collectAsList();
            bare(engine, texts.subList(0, 1));
            job(documents.limit(1), output);
            double[] bare = new double[repeats];
            double[] job = new double[repeats];
            long tokens = 0;
            for (int i = 0; i < repeats; i++) {
                long start = System.nanoTime();
                tokens = bare(engine, texts);
                bare[i] = (System.nanoTime() - start) / 1e9;
                start = System.nanoTime();
                job(documents, output);
                job[i] = (System.nanoTime() - start) / 1e9;
            }
            Map<String, Object> labels = Map.of("documents", texts.size(), "tokens", tokens);
            report.add("bare_engine", "seconds", median(bare), labels);
            report.add("spark_job", "seconds", median(job), labels);
            double[] ratios = new double[repeats];
            for (int i = 0; i < repeats; i++) {
                ratios[i] = job[i] / bare[i];
            }
            report.add("spark_over_bare", "ratio", median(ratios), labels);
        } finally {
            ExecutorEngine.close();
            spark.stop();
        }
    }

    /** All texts at once, tokenizing included; the tokens of prompts and outputs. */
    private long bare(InferenceEngine engine, List<String> texts) throws IOException {
        List<RequestHandle<GenerationResult>> handles = new ArrayList<>();
        try {
            for (String text : texts) {
                int[] prompt = engine.tokenizer().encode(text, true);
                handles.add(engine.generate(
                        new GenerationRequest("bench", prompt, newTokens, SamplingParams.GREEDY, List.of(), Set.of())));
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while measuring");
        }
        long tokens = 0;
        for (RequestHandle<GenerationResult> handle : handles) {
            GenerationResult result = handle.result().join();
            tokens += result.usage().promptTokens() + result.usage().outputTokens();
        }
        return tokens;
    }

    private void job(Dataset<Row> documents, Path output) {
        int tasks = documents.sparkSession().sparkContext().defaultParallelism();
        NosaGenerate.builder(model.toString())
                .useChatTemplate(false)
                .maxNewTokens(newTokens)
                .threads(threads)
                .build()
                .transform(documents.repartition(tasks))
                .write()
                .mode("overwrite")
                .parquet(output.toString());
    }

    static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }
}
