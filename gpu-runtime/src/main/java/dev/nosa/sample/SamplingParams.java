package dev.nosa.sample;

import java.io.Serializable;

/**
 * How the next token is picked from the logits.
 *
 * @param temperature 0 is greedy
 * @param topK tokens kept; 0 keeps all
 * @param topP probability mass kept, in (0, 1]
 * @param repetitionPenalty divides positive and multiplies negative logits of tokens already in the sequence; 1 is off
 * @param seed with the position alone decides the random number, so a result depends on no batch mate
 */
public record SamplingParams(float temperature, int topK, float topP, float repetitionPenalty, long seed)
        implements Serializable {
    public static final SamplingParams GREEDY = new SamplingParams(0f, 0, 1f, 1f, 0L);

    public SamplingParams {
        require(temperature >= 0 && Float.isFinite(temperature), "temperature", temperature, "must be 0 or more");
        require(topK >= 0, "top-k", topK, "must be 0 (off) or more");
        require(topP > 0 && topP <= 1, "top-p", topP, "must be above 0 and at most 1");
        require(
                repetitionPenalty > 0 && Float.isFinite(repetitionPenalty),
                "repetition-penalty",
                repetitionPenalty,
                "must be above 0");
    }

    public boolean isGreedy() {
        return temperature == 0;
    }

    public SamplingParams withSeed(long newSeed) {
        return new SamplingParams(temperature, topK, topP, repetitionPenalty, newSeed);
    }

    private static void require(boolean holds, String key, double value, String rule) {
        if (!holds) {
            throw new IllegalArgumentException(key + " = " + value + ": " + rule);
        }
    }
}
