package dev.nosa.backend.cpu;

import dev.nosa.sparse.SparseConfig;
import dev.nosa.sparse.WindowMath;
import java.util.Arrays;
import org.bytedeco.javacpp.FloatPointer;

/** Selects one query's blocks (NOSA specification, section 2, steps 4 to 7). Scratch of one worker. */
final class BlockScores {
    private final int groupSize;
    private final int headDim;
    private final SparseConfig sparse;
    private float[] windowScores = new float[0];
    private float[] queryScores = new float[0];
    private float[] importance = new float[0];

    BlockScores(int groupSize, int headDim, SparseConfig sparse) {
        this.groupSize = groupSize;
        this.headDim = headDim;
        this.sparse = sparse;
    }

    /**
     * Selects the blocks of the query at {@code position}, ascending, and returns how many.
     *
     * @param queries the group's rotated queries, scaled by 1 / sqrt(D), at {@code queryAt}
     */
    int select(HeadCache cache, int position, float[] queries, int queryAt, CpuWorker worker, int[] selected) {
        if (!worker.selection().isDense(position)) {
            int current = position / sparse.blockSize();
            int windows = WindowMath.windows(position + 1, sparse);
            reserve(current + 1, windows);
            if (cache.keys().size() > 0) {
                scoreWindows(cache, windows, queries, queryAt, worker);
                pool(windowScores, windows, current, 0f, queryScores);
            }
            if (cache.importance().length > 0) {
                pool(cache.windowImportance(), windows, current, Float.NEGATIVE_INFINITY, importance);
            }
        }
        return worker.selection().select(position, queryScores, importance, selected);
    }

    private void reserve(int blocks, int windows) {
        if (queryScores.length < blocks) {
            queryScores = new float[2 * blocks];
            importance = new float[2 * blocks];
        }
        if (windowScores.length < windows) {
            windowScores = new float[2 * windows];
        }
    }

    /** Softmax over the visible windows for each query head, summed over the group. */
    private void scoreWindows(HeadCache cache, int windows, float[] queries, int queryAt, CpuWorker worker) {
        Arrays.fill(windowScores, 0, windows, 0f);
        int group = HeadCache.GROUP;
        int width = (windows + group - 1) / group * group;
        if (width == 0) {
            return;
        }
        NativeFloats staged = worker.queries(groupSize * headDim);
        staged.put(0, queries, queryAt, groupSize * headDim);
        NativeFloats products = worker.products(groupSize * width);
        FloatPointer q = staged.view();
        FloatPointer keys = cache.keys().view();
        FloatPointer target = products.view();
        for (int at = 0; at < width; at += group) {
            keys.position((long) at * headDim);
            CpuLinear.gemm(groupSize, group, headDim, q, headDim, keys, group, 0f, target.position(at), width);
        }
        float[] scores = worker.scores(groupSize * width);
        products.get(0, scores, 0, groupSize * width);
        for (int g = 0; g < groupSize; g++) {
            float scale = 1f / FastExp.softmaxNumerators(scores, g * width, windows);
            for (int j = 0; j < windows; j++) {
                windowScores[j] += scores[g * width + j] * scale;
            }
        }
    }

    private void pool(float[] values, int windows, int current, float none, float[] pooled) {
        int size = WindowMath.poolSize(sparse);
        for (int b = 0; b <= current; b++) {
            int first = WindowMath.firstWindow(b, sparse);
            int end = Math.min(first + size, windows);
            float max = none;
            for (int j = Math.max(first, 0); j < end; j++) {
                max = j == Math.max(first, 0) ? values[j] : Math.max(max, values[j]);
            }
            pooled[b] = max;
        }
    }
}
