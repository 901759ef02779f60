package dev.nosa.backend.cuda;

import dev.nosa.sparse.SparseConfig;
import dev.nosa.sparse.WindowMath;
import dev.nosa.tensor.BFloat16;
import java.util.Arrays;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/** What the attention kernels compute, for one head, in double precision unless a method says otherwise. */
final class KernelReference {
    private KernelReference() {}

    /** Half rotation; the angle is rounded to F32, as in every implementation. */
    static double[] roped(float[] head, int position, float[] frequencies, float scale) {
        int half = head.length / 2;
        double[] turned = new double[head.length];
        for (int i = 0; i < half; i++) {
            float angle = (float) position * frequencies[i];
            double cos = Math.cos(angle) * scale;
            double sin = Math.sin(angle) * scale;
            turned[i] = head[i] * cos - head[i + half] * sin;
            turned[i + half] = head[i + half] * cos + head[i] * sin;
        }
        return turned;
    }

    static double importance(float[] values, float[] delta, float a, float bias) {
        double dot = dot(values, delta) + bias;
        return a * (dot > 0 ? dot + Math.log1p(Math.exp(-dot)) : Math.log1p(Math.exp(dot)));
    }

    static double dot(float[] a, float[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += (double) a[i] * b[i];
        }
        return sum;
    }

    /** Mean of a window's keys as the kernels add them up: F32 in the order of the tokens, then BF16. */
    static float[] windowKey(SparseConfig sparse, int window, IntFunction<float[]> keys) {
        float[] sum = new float[keys.apply(window * sparse.stride()).length];
        for (int token = window * sparse.stride(); token < window * sparse.stride() + sparse.window(); token++) {
            float[] key = keys.apply(token);
            for (int i = 0; i < sum.length; i++) {
                sum[i] += key[i];
            }
        }
        for (int i = 0; i < sum.length; i++) {
            sum[i] = BFloat16.round(sum[i] / sparse.window());
        }
        return sum;
    }

    /** Mean of a window's importance, F32 in the order of the tokens. */
    static float windowImportance(SparseConfig sparse, int window, IntFunction<Float> importance) {
        float sum = 0;
        for (int token = window * sparse.stride(); token < window * sparse.stride() + sparse.window(); token++) {
            sum += importance.apply(token);
        }
        return sum / sparse.window();
    }

    /** For each block up to the one of {@code position}, the largest of its pool of windows; {@code none} for no window. */
    static float[] pooled(SparseConfig sparse, int position, float none, IntFunction<Float> windows) {
        float[] scores = new float[position / sparse.blockSize() + 1];
        int visible = WindowMath.windows(position + 1, sparse);
        for (int b = 0; b < scores.length; b++) {
            int first = WindowMath.firstWindow(b, sparse);
            scores[b] =
                    (float) IntStream.range(Math.max(0, first), Math.min(first + WindowMath.poolSize(sparse), visible))
                            .mapToDouble(windows::apply)
                            .max()
                            .orElse(none);
        }
        return scores;
    }

    /**
     * What one query head attends.
     *
     * @param keys of all tokens, as {@code values} and {@code bias}; only {@code tokens} are read
     */
    record Context(int[] tokens, IntFunction<float[]> keys, IntFunction<float[]> values, IntFunction<Float> bias) {
        /** Tokens up to {@code position} of some blocks. */
        static int[] tokens(int[] blocks, int position) {
            return Arrays.stream(blocks)
                    .flatMap(b ->
                            IntStream.range(b * KernelShape.BLOCK, Math.min((b + 1) * KernelShape.BLOCK, position + 1)))
                    .toArray();
        }
    }

    /**
     * @param output of a head
     * @param weight sum of the absolute addends of each value, which bounds what rounding can do to it
     */
    record Attended(double[] output, double[] weight) {}

    static Attended attend(float[] query, Context context) {
        double[] scores = Arrays.stream(context.tokens())
                .mapToDouble(t -> dot(query, context.keys().apply(t)) / Math.sqrt(query.length)
                        + context.bias().apply(t))
                .toArray();
        double top = Arrays.stream(scores).max().orElseThrow();
        double sum = Arrays.stream(scores).map(s -> Math.exp(s - top)).sum();
        double[] output = new double[query.length];
        double[] weight = new double[query.length];
        for (int n = 0; n < scores.length; n++) {
            float[] value = context.values().apply(context.tokens()[n]);
            double share = Math.exp(scores[n] - top) / sum;
            for (int i = 0; i < output.length; i++) {
                output[i] += share * value[i];
                weight[i] += share * Math.abs(value[i]);
            }
        }
        return new Attended(output, weight);
    }
}
