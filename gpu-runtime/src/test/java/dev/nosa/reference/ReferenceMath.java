package dev.nosa.reference;

import java.util.Arrays;

/** Scalar formulas of the reference, in double precision. */
final class ReferenceMath {
    private ReferenceMath() {}

    static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += a[i] * b[i];
        }
        return sum;
    }

    static void softmax(double[] logits) {
        double max = Double.NEGATIVE_INFINITY;
        for (double logit : logits) {
            max = Math.max(max, logit);
        }
        double sum = 0;
        for (int i = 0; i < logits.length; i++) {
            logits[i] = Math.exp(logits[i] - max);
            sum += logits[i];
        }
        for (int i = 0; i < logits.length; i++) {
            logits[i] /= sum;
        }
    }

    static double softplus(double x) {
        return x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x));
    }

    static double silu(double x) {
        return x / (1 + Math.exp(-x));
    }

    /** {@code matrix . x + bias} with a row-major (out, in) matrix; {@code bias} may be null. */
    static double[] linear(float[] matrix, float[] bias, double[] x) {
        double[] y = new double[matrix.length / x.length];
        for (int out = 0; out < y.length; out++) {
            double sum = bias == null ? 0 : bias[out];
            for (int in = 0; in < x.length; in++) {
                sum += matrix[out * x.length + in] * x[in];
            }
            y[out] = sum;
        }
        return y;
    }

    static double[] rmsNorm(double[] x, float[] weight, double epsilon) {
        double scale = 1 / Math.sqrt(dot(x, x) / x.length + epsilon);
        double[] y = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            y[i] = x[i] * scale * weight[i];
        }
        return y;
    }

    static double[] plus(double[] a, double[] b) {
        double[] sum = new double[a.length];
        for (int i = 0; i < a.length; i++) {
            sum[i] = a[i] + b[i];
        }
        return sum;
    }

    /** Half rotation: value d of a head turns with value d + D/2 by the angle position * inverseFrequencies[d]. */
    static double[] rope(double[] head, int position, float[] inverseFrequencies, double factor) {
        int half = head.length / 2;
        double[] turned = new double[head.length];
        for (int d = 0; d < half; d++) {
            double angle = position * (double) inverseFrequencies[d];
            double cos = factor * Math.cos(angle);
            double sin = factor * Math.sin(angle);
            turned[d] = head[d] * cos - head[d + half] * sin;
            turned[d + half] = head[d + half] * cos + head[d] * sin;
        }
        return turned;
    }

    /** Splits a row into heads. */
    static double[][] heads(double[] row, int heads) {
        int width = row.length / heads;
        double[][] split = new double[heads][];
        for (int h = 0; h < heads; h++) {
            split[h] = Arrays.copyOfRange(row, h * width, (h + 1) * width);
        }
        return split;
    }
}
