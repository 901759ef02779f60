package dev.nosa.model;

import java.util.List;

/**
 * RoPE's frequencies for each {@code rope_type}, in F32 with the roundings of Hugging Face's {@code modeling_rope_utils},
 * which the models were trained with.
 */
final class RopeScaling {
    static final List<String> TYPES = List.of("default", "linear", "llama3", "longrope");

    private static final double DEFAULT_THETA = 10000;
    private static final String ORIGINAL_POSITIONS = "original_max_position_embeddings";
    private static final String LONGROPE_FACTOR = "attention_factor";

    private final ConfigSection config;
    private final ConfigSection scaling;
    private final int headDim;
    private final int maxPositions;

    private RopeScaling(ConfigSection config, ConfigSection scaling, int headDim, int maxPositions) {
        this.config = config;
        this.scaling = scaling;
        this.headDim = headDim;
        this.maxPositions = maxPositions;
    }

    /** Reads {@code rope_parameters} (transformers 5) or else {@code rope_scaling} of {@code config}. */
    static RopeConfig parse(ConfigSection config, int headDim, int maxPositions) {
        ConfigSection scaling = config.section(config.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
        return new RopeScaling(config, scaling, headDim, maxPositions).rope();
    }

    private RopeConfig rope() {
        checkRotatesWholeHead(config);
        checkRotatesWholeHead(scaling);
        return switch (type()) {
            case "default" -> new RopeConfig(inverse(powers()), 1f);
            case "linear" -> new RopeConfig(linear(), 1f);
            case "llama3" -> new RopeConfig(llama3(), 1f);
            case "longrope" -> new RopeConfig(longrope(), longropeAttentionFactor());
            default -> throw scaling.error(typeKey(), "not supported; known: " + String.join(", ", TYPES));
        };
    }

    private static void checkRotatesWholeHead(ConfigSection section) {
        if (section.positiveNumber("partial_rotary_factor", 1) != 1) {
            throw section.error("partial_rotary_factor", "only 1 is supported");
        }
    }

    private String type() {
        boolean untyped = config.has("rope_parameters") || !config.has("rope_scaling");
        if (!untyped && !scaling.has(typeKey())) {
            throw scaling.error(typeKey(), "must be one of " + String.join(", ", TYPES));
        }
        return scaling.text(typeKey(), "default");
    }

    private String typeKey() {
        return !scaling.has("rope_type") && scaling.has("type") ? "type" : "rope_type";
    }

    /** theta^(2i / headDim). */
    private float[] powers() {
        double theta = scaling.positiveNumber("rope_theta", config.positiveNumber("rope_theta", DEFAULT_THETA));
        float[] powers = new float[headDim / 2];
        for (int i = 0; i < powers.length; i++) {
            powers[i] = (float) Math.pow(theta, 2f * i / headDim);
        }
        return powers;
    }

    private static float[] inverse(float[] values) {
        float[] inverse = new float[values.length];
        for (int i = 0; i < values.length; i++) {
            inverse[i] = 1 / values[i];
        }
        return inverse;
    }

    private float[] linear() {
        float factor = (float) scaling.positiveNumber("factor");
        float[] frequencies = inverse(powers());
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] /= factor;
        }
        return frequencies;
    }

    /** Long wavelengths are stretched by the factor, short ones kept, those between blended. */
    private float[] llama3() {
        float factor = (float) scaling.positiveNumber("factor");
        float low = (float) scaling.positiveNumber("low_freq_factor");
        float high = (float) scaling.positiveNumber("high_freq_factor");
        float original = scaling.positiveInt(ORIGINAL_POSITIONS);
        if (high <= low) {
            throw scaling.error("high_freq_factor", "must be greater than low_freq_factor");
        }
        float[] frequencies = inverse(powers());
        for (int i = 0; i < frequencies.length; i++) {
            float frequency = frequencies[i];
            float turns = (float) (original * frequency / (2 * Math.PI)); // in the original context
            if (turns < low) {
                frequencies[i] = frequency / factor;
            } else if (turns <= high) {
                float smooth = (turns - low) / (high - low);
                frequencies[i] = (1 - smooth) * frequency / factor + smooth * frequency;
            }
        }
        return frequencies;
    }

    /** One table for all positions: the long factors if the model reaches beyond its original context. */
    private float[] longrope() {
        boolean isLong = maxPositions > originalPositions();
        // Both are checked, so that a broken configuration does not wait for another length to show.
        float[] shortFactors = scaling.positiveNumbers("short_factor", headDim / 2);
        float[] longFactors = scaling.positiveNumbers("long_factor", headDim / 2);
        float[] factors = isLong ? longFactors : shortFactors;
        float[] powers = powers();
        for (int i = 0; i < powers.length; i++) {
            powers[i] *= factors[i];
        }
        return inverse(powers);
    }

    private float longropeAttentionFactor() {
        int original = originalPositions();
        double factor = scaling.positiveNumber("factor", (double) maxPositions / original);
        double derived = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
        return (float) scaling.positiveNumber(LONGROPE_FACTOR, derived);
    }

    /** Older configurations have it beside {@code rope_scaling} instead of in it. */
    private int originalPositions() {
        return scaling.intAtLeast(
                2, ORIGINAL_POSITIONS, config.intAtLeast(2, ORIGINAL_POSITIONS, Math.max(2, maxPositions)));
    }
}
