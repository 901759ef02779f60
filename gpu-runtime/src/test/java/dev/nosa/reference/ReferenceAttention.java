package dev.nosa.reference;

import dev.nosa.model.ModelConfig;
import dev.nosa.reference.LayerTrace.HeadRow;
import dev.nosa.sparse.AttentionMode;
import java.util.Arrays;
import java.util.stream.IntStream;

/** Steps 3 to 8 of the NOSA specification, section 2, of one layer, from its queries, keys, values and importance. */
final class ReferenceAttention {
    private static final double[] NOT_USED = {};

    private final ModelConfig config;
    private final AttentionMode mode;
    private final ReferenceSelection selection;

    ReferenceAttention(ModelConfig config, AttentionMode mode) {
        this.config = config;
        this.mode = mode;
        this.selection = new ReferenceSelection(mode, config.sparse());
    }

    /**
     * Attends for the queries {@code query[p]} at {@code positions[p]} over the whole sequence.
     *
     * @param importance [g][t]; empty in a mode without importance
     */
    LayerTrace attend(
            int[] positions, double[][][] query, double[][][] key, double[][][] value, double[][] importance) {
        double[][][] compressedKeys = new double[config.kvHeads()][][];
        double[][] compressedImportance = new double[importance.length][];
        for (int g = 0; g < config.kvHeads(); g++) {
            int head = g;
            compressedKeys[g] =
                    selection.windowMeans(Arrays.stream(key).map(t -> t[head]).toArray(double[][]::new));
        }
        for (int g = 0; g < importance.length; g++) {
            double[][] column =
                    Arrays.stream(importance[g]).mapToObj(x -> new double[] {x}).toArray(double[][]::new);
            compressedImportance[g] = Arrays.stream(selection.windowMeans(column))
                    .mapToDouble(mean -> mean[0])
                    .toArray();
        }
        HeadRow[][] rows = new HeadRow[positions.length][config.kvHeads()];
        double[][][] attention = new double[positions.length][config.heads()][];
        IntStream.range(0, positions.length).parallel().forEach(p -> {
            for (int g = 0; g < config.kvHeads(); g++) {
                double[] windowImportance = mode.usesImportance() ? compressedImportance[g] : NOT_USED;
                rows[p][g] = row(positions[p], group(query[p], g), compressedKeys[g], windowImportance);
            }
            for (int h = 0; h < config.heads(); h++) {
                int g = h / config.groupSize();
                double[] bias = mode.usesImportance() ? importance[g] : new double[key.length];
                attention[p][h] = output(positions[p], query[p][h], key, value, g, bias, rows[p][g].blocks());
            }
        });
        return new LayerTrace(
                positions, query, key, value, importance, compressedKeys, compressedImportance, rows, attention);
    }

    private double[][] group(double[][] queryHeads, int kvHead) {
        return Arrays.copyOfRange(queryHeads, kvHead * config.groupSize(), (kvHead + 1) * config.groupSize());
    }

    private HeadRow row(int position, double[][] queryHeads, double[][] compressedKeys, double[] windowImportance) {
        double[] windowScores = NOT_USED;
        double[] queryScores = NOT_USED;
        double[] importanceScores = NOT_USED;
        if (mode.usesQueryScores()) {
            int visible = selection.visibleWindows(position);
            windowScores = ReferenceSelection.windowScores(queryHeads, compressedKeys, visible);
            queryScores = selection.blockScores(windowScores, position, 0);
        }
        if (mode.usesImportance()) {
            importanceScores = selection.blockScores(windowImportance, position, Double.NEGATIVE_INFINITY);
        }
        ReferenceSelection.Choice choice = selection.choose(position, queryScores, importanceScores);
        return new HeadRow(windowScores, queryScores, importanceScores, choice.blocks(), choice.margin());
    }

    /** Step 8, of one query head: softmax of q . k / sqrt(D) + bias over the tokens up to {@code position}. */
    private double[] output(
            int position, double[] query, double[][][] key, double[][][] value, int g, double[] bias, int[] blocks) {
        int blockSize = config.sparse().blockSize();
        int[] tokens = Arrays.stream(blocks)
                .flatMap(b -> IntStream.range(b * blockSize, Math.min((b + 1) * blockSize, position + 1)))
                .toArray();
        double[] weights = new double[tokens.length];
        for (int n = 0; n < tokens.length; n++) {
            double product = ReferenceMath.dot(query, key[tokens[n]][g]);
            weights[n] = product / Math.sqrt(query.length) + bias[tokens[n]];
        }
        ReferenceMath.softmax(weights);
        double[] sum = new double[query.length];
        for (int n = 0; n < tokens.length; n++) {
            for (int d = 0; d < sum.length; d++) {
                sum[d] += weights[n] * value[tokens[n]][g][d];
            }
        }
        return sum;
    }
}
