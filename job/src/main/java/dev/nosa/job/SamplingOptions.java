package dev.nosa.job;

import dev.nosa.sample.SamplingParams;
import dev.nosa.spark.NosaGenerate;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Option;

/** How tokens are picked and when a generation ends. */
final class SamplingOptions {
    @Option(
            names = "--max-new-tokens",
            paramLabel = "N",
            defaultValue = "256",
            description = "Tokens generated for a document at most (default: ${DEFAULT-VALUE})")
    int maxNewTokens;

    @Option(
            names = "--temperature",
            paramLabel = "T",
            defaultValue = "0",
            description = "0 takes the likeliest token, 1 samples as the model says (default: 0)")
    float temperature;

    @Option(
            names = "--top-k",
            paramLabel = "N",
            defaultValue = "0",
            description = "Sample among the N likeliest tokens (default: 0, all)")
    int topK;

    @Option(
            names = "--top-p",
            paramLabel = "P",
            defaultValue = "1",
            description = "Sample among the likeliest tokens of this summed probability (default: 1, all)")
    float topP;

    @Option(
            names = "--repetition-penalty",
            paramLabel = "R",
            defaultValue = "1",
            description = "Above 1 makes tokens that occurred less likely (default: 1, off)")
    float repetitionPenalty;

    @Option(
            names = "--seed",
            paramLabel = "S",
            defaultValue = "0",
            description = "With a document's id it decides what is sampled (default: 0)")
    long seed;

    @Option(
            names = "--stop",
            paramLabel = "STR",
            description = "Text that ends a generation, left out of it; repeatable")
    List<String> stop = new ArrayList<>();

    @Option(
            names = "--stop-token-ids",
            paramLabel = "ID",
            split = ",",
            description =
                    "Token ids that end a generation, beside the model's own; repeat it or separate them by commas")
    List<Integer> stopTokenIds = new ArrayList<>();

    /** Sets all of it. */
    NosaGenerate.Builder apply(NosaGenerate.Builder builder) {
        return builder.maxNewTokens(maxNewTokens)
                .temperature(temperature)
                .topK(topK)
                .topP(topP)
                .repetitionPenalty(repetitionPenalty)
                .seed(seed)
                .stop(stop.toArray(String[]::new))
                .stopTokens(stopTokenIds.stream().mapToInt(Integer::intValue).toArray());
    }

    SamplingParams params() {
        try {
            return new SamplingParams(temperature, topK, topP, repetitionPenalty, seed);
        } catch (IllegalArgumentException e) {
            throw UsageException.of(e);
        }
    }

    void check() {
        params();
        if (maxNewTokens < 1) {
            throw new UsageException("max-new-tokens = " + maxNewTokens + ": must be 1 or more", "--max-new-tokens");
        }
        if (stop.contains("")) {
            throw new UsageException("an empty stop string would end every generation", "--stop");
        }
    }
}
