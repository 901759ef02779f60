package dev.nosa.sample;

import java.util.Arrays;

/**
 * Picks tokens from the logits of one position.
 *
 * <p>Order of the steps: repetition penalty, temperature, top-k, top-p on what top-k kept. Equal logits rank by token id,
 * the lowest first. No method changes its arguments; every one throws an {@link ArithmeticException} if a logit is not
 * finite.
 */
public final class Sampler {
    private static final long GOLDEN_GAMMA = 0x9E3779B97F4A7C15L;

    private Sampler() {}

    /**
     * The next token.
     *
     * @param logits one a token of the vocabulary
     * @param history tokens that the repetition penalty applies to; the first {@code historyLength} count
     * @param position the new token's place in the sequence; with the seed it decides the random number
     */
    public static int sample(float[] logits, SamplingParams params, int[] history, int historyLength, long position) {
        float[] scores = penalize(logits, params.repetitionPenalty(), history, historyLength);
        int best = argMax(scores);
        if (params.isGreedy()) {
            return best;
        }
        double[] weights = weights(scores, scores[best], params.temperature());
        double random = uniform(params.seed(), position);
        if (params.topK() > 0 && params.topK() < weights.length) {
            long[] ranked = largest(scores, params.topK());
            return pickFromNucleus(ranked, weights, params.topP() * mass(ranked, weights), random);
        }
        if (params.topP() < 1) {
            double total = Arrays.stream(weights).sum();
            // Tokens below this weigh less than (1 - p) * total together, so the others reach p without them.
            double least = total * (1 - params.topP()) / weights.length;
            return pickFromNucleus(atLeast(least, scores, weights), weights, params.topP() * total, random);
        }
        return pick(weights, random);
    }

    /** Natural logarithm of the softmax at {@code token}. For several tokens take {@link #logSumExp} once. */
    public static float logProb(float[] logits, int token) {
        return (float) (logits[token] - logSumExp(logits));
    }

    /** Logarithm of the softmax's denominator: {@code logits[t] - logSumExp(logits)} is token t's log-probability. */
    public static double logSumExp(float[] logits) {
        float max = logits[argMax(logits)];
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp((double) logit - max);
        }
        return max + Math.log(sum);
    }

    /** The first token whose logit is not finite, or -1. */
    public static int firstNotFinite(float[] logits) {
        for (int token = 0; token < logits.length; token++) {
            if (!Float.isFinite(logits[token])) {
                return token;
            }
        }
        return -1;
    }

    /** The random number of a position, in [0, 1), from seed and position alone (SplitMix64's finalizer over both). */
    public static double uniform(long seed, long position) {
        long bits = mix(mix(seed + GOLDEN_GAMMA) + (position + 1) * GOLDEN_GAMMA);
        return (bits >>> 11) * 0x1.0p-53;
    }

    private static float[] penalize(float[] logits, float penalty, int[] history, int historyLength) {
        if (penalty == 1) {
            return logits;
        }
        float[] scores = logits.clone();
        for (int i = 0; i < historyLength; i++) {
            // From the untouched logit: a token that occurs twice is penalized once.
            float logit = logits[history[i]];
            scores[history[i]] = logit > 0 ? logit / penalty : logit * penalty;
        }
        return scores;
    }

    private static int argMax(float[] scores) {
        int bad = firstNotFinite(scores);
        if (bad >= 0) {
            throw new ArithmeticException("the logit of token " + bad + " of " + scores.length + " is " + scores[bad]
                    + ": the model's weights or activations are not finite");
        }
        int best = 0;
        for (int token = 0; token < scores.length; token++) {
            if (scores[token] > scores[best]) {
                best = token;
            }
        }
        return best;
    }

    /** Probabilities up to a common factor: the best token has 1. */
    private static double[] weights(float[] scores, float max, double temperature) {
        double[] weights = new double[scores.length];
        for (int token = 0; token < weights.length; token++) {
            weights[token] = Math.exp(((double) scores[token] - max) / temperature);
        }
        return weights;
    }

    private static int pick(double[] weights, double random) {
        double target = random * Arrays.stream(weights).sum();
        double sum = 0;
        int last = 0;
        for (int token = 0; token < weights.length; token++) {
            if (weights[token] == 0) {
                continue;
            }
            last = token;
            sum += weights[token];
            if (sum > target) {
                break;
            }
        }
        return last;
    }

    /** Keys of the {@code k} best tokens, ascending. */
    private static long[] largest(float[] scores, int k) {
        // Twice k, and cut back to k whenever full: linear in the vocabulary unless the logits ascend.
        long[] keys = new long[(int) Math.min(2L * k, scores.length)];
        int count = 0;
        long least = Long.MIN_VALUE;
        for (int token = 0; token < scores.length; token++) {
            long key = key(scores[token], token);
            if (key < least) {
                continue;
            }
            if (count == keys.length) {
                Arrays.sort(keys);
                System.arraycopy(keys, count - k, keys, 0, k);
                least = keys[0];
                count = k;
            }
            keys[count++] = key;
        }
        Arrays.sort(keys, 0, count);
        return Arrays.copyOfRange(keys, count - k, count);
    }

    /** Keys of the tokens whose weight is at least {@code least}, ascending. */
    private static long[] atLeast(double least, float[] scores, double[] weights) {
        long[] keys = new long[scores.length];
        int count = 0;
        for (int token = 0; token < scores.length; token++) {
            if (weights[token] >= least) {
                keys[count++] = key(scores[token], token);
            }
        }
        Arrays.sort(keys, 0, count);
        return Arrays.copyOf(keys, count);
    }

    /** Picks among the best tokens that reach {@code nucleusMass} together, the one that crosses it included. */
    private static int pickFromNucleus(long[] ranked, double[] weights, double nucleusMass, double random) {
        int first = ranked.length;
        double mass = 0;
        do {
            mass += weights[token(ranked[--first])];
        } while (first > 0 && mass < nucleusMass);
        double target = random * mass;
        int i = ranked.length;
        double sum = 0;
        do {
            sum += weights[token(ranked[--i])];
        } while (i > first && sum <= target);
        return token(ranked[i]);
    }

    private static double mass(long[] ranked, double[] weights) {
        double mass = 0;
        for (int i = ranked.length - 1; i >= 0; i--) {
            mass += weights[token(ranked[i])];
        }
        return mass;
    }

    /** Orders like (score ascending, token descending), so that the last key is the best. */
    private static long key(float score, int token) {
        int bits = Float.floatToIntBits(score + 0f); // -0 becomes 0: they are equal logits
        int ordered = bits ^ ((bits >> 31) & Integer.MAX_VALUE);
        return (long) ordered << 32 | (Integer.MAX_VALUE - token);
    }

    private static int token(long key) {
        return Integer.MAX_VALUE - (int) key;
    }

    private static long mix(long value) {
        long z = (value ^ (value >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }
}
