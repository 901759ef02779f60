package dev.nosa.model;

import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import java.util.Map;
import java.util.Set;

/** Shapes of the released NOSA models (NOSA specification, section 5), for measurements with random weights. */
public final class ModelShapes {
    private static final int VOCAB = 73448;
    private static final int HEAD_DIM = 128;
    private static final double THETA = 10000;
    private static final int MAX_POSITIONS = 131072;
    private static final float EPS = 1e-6f;

    private static final Map<String, ModelConfig> SHAPES =
            Map.of("8b", shape(32, 4096, 16384, 32), "1b", shape(28, 1536, 6144, 16));

    private ModelShapes() {}

    /** {@code 8b} or {@code 1b}; an {@link IllegalArgumentException} lists them. */
    public static ModelConfig of(String name) {
        ModelConfig shape = SHAPES.get(name);
        if (shape == null) {
            throw new IllegalArgumentException("unknown shape '" + name + "'; known: 8b, 1b");
        }
        return shape;
    }

    private static ModelConfig shape(int layers, int hidden, int intermediate, int heads) {
        float[] frequencies = new float[HEAD_DIM / 2];
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] = (float) Math.pow(THETA, -2.0 * i / HEAD_DIM);
        }
        return new ModelConfig(
                layers,
                hidden,
                intermediate,
                heads,
                2,
                HEAD_DIM,
                VOCAB,
                MAX_POSITIONS,
                EPS,
                new RopeConfig(frequencies, 1f),
                false,
                false,
                1,
                Set.of(),
                true,
                AttentionMode.NOSA,
                SparseConfig.DEFAULT);
    }
}
