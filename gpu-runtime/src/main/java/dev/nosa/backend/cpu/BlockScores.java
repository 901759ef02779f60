package dev.nosa.backend.cpu;

import dev.nosa.sparse.BlockSelection;
import dev.nosa.sparse.SparseConfig;
import dev.nosa.sparse.WindowMath;
import java.util.Arrays;
import org.bytedeco.javacpp.FloatPointer;

/** Selects queries' blocks (NOSA specification, section 2, steps 4 to 7). Scratch of one worker. */
final class BlockScores {
    private final int groupSize;
    private final int headDim;
    private final SparseConfig sparse;
    private final BlockSelection selection;
    private final CpuWorker worker;
    private float[] windowScores = new float[0];
    private float[] queryScores = new float[0];
    private float[] importance = new float[0];
    private int[] chosen = new int[0];

    BlockScores(int groupSize, int headDim, SparseConfig sparse, BlockSelection selection, CpuWorker worker) {
        this.groupSize = groupSize;
        this.headDim = headDim;
        this.sparse = sparse;
        this.selection = selection;
        this.worker = worker;
    }

    /** Selects for a tile of queries, of which the first is number {@code from} of {@code selected}. */
    void select(HeadCache cache, QueryTile tile, SelectedBlocks selected, int from) {
        int end;
        for (int first = 0; first < tile.count(); first = end) {
            end = Math.min(first + tile.batch() - tile.place(first), tile.count());
            boolean anySparse = !selection.isDense(tile.position(end - 1));
            int width = anySparse && cache.keys().size() > 0 ? products(cache, tile, first, end) : 0;
            for (int i = first; i < end; i++) {
                int position = tile.position(i);
                reserve(position / sparse.blockSize() + 1);
                if (!selection.isDense(position)) {
                    score(cache, position, tile.place(i) * groupSize * width, width);
                }
                int count = selection.select(position, queryScores, importance, chosen);
                selected.put(from + i, chosen, count);
            }
        }
    }

    private void reserve(int blocks) {
        if (chosen.length < blocks) {
            chosen = new int[2 * blocks];
            queryScores = new float[2 * blocks];
            importance = new float[2 * blocks];
        }
    }

    /** Products of queries [first, end) with the compressed keys, into the worker's scores, (rows, returned width). */
    private int products(HeadCache cache, QueryTile tile, int first, int end) {
        int group = groupSize * headDim;
        int rows = tile.batch() * groupSize;
        NativeFloats queries = worker.queries(rows * headDim);
        for (int i = first; i < end; i++) {
            queries.put(
                    tile.place(i) * group, tile.queries().data(), tile.queries().at(i), group);
        }
        int width = roundUp(WindowMath.windows(tile.position(end - 1) + 1, sparse), HeadCache.GROUP);
        NativeFloats products = worker.products(rows * width);
        FloatPointer q = queries.view();
        FloatPointer keys = cache.keys().view();
        FloatPointer target = products.view();
        for (int at = 0; at < width; at += HeadCache.GROUP) {
            keys.position((long) at * headDim);
            target.position(at);
            CpuLinear.gemm(rows, HeadCache.GROUP, headDim, q, headDim, keys, HeadCache.GROUP, 0f, target, width);
        }
        products.get(0, worker.scores(rows * width), 0, rows * width);
        return width;
    }

    private static int roundUp(int value, int multiple) {
        return (value + multiple - 1) / multiple * multiple;
    }

    /** Pooled scores of every block for the query whose group's products begin at {@code at}. */
    private void score(HeadCache cache, int position, int at, int width) {
        int windows = WindowMath.windows(position + 1, sparse);
        int current = position / sparse.blockSize();
        if (cache.keys().size() > 0) {
            scoreWindows(windows, at, width);
            pool(windowScores, windows, current, 0f, queryScores);
        }
        if (cache.importance().length > 0) {
            pool(cache.windowImportance(), windows, current, Float.NEGATIVE_INFINITY, importance);
        }
    }

    /** Softmax over the visible windows for each query head, summed over the group. */
    private void scoreWindows(int windows, int at, int width) {
        if (windowScores.length < windows) {
            windowScores = new float[2 * windows];
        }
        Arrays.fill(windowScores, 0, windows, 0f);
        float[] scores = worker.scores(0);
        for (int g = 0; g < groupSize && windows > 0; g++) {
            int from = at + g * width;
            float max = FastExp.max(scores, from, windows);
            float scale = 1f / FastExp.softmaxNumerators(scores, from, windows, max);
            for (int j = 0; j < windows; j++) {
                windowScores[j] += scores[from + j] * scale;
            }
        }
    }

    private void pool(float[] values, int windows, int current, float none, float[] pooled) {
        int size = WindowMath.poolSize(sparse);
        for (int b = 0; b <= current; b++) {
            int first = WindowMath.firstWindow(b, sparse);
            int end = Math.min(first + size, windows);
            int start = Math.max(first, 0);
            pooled[b] = start < end ? FastExp.max(values, start, end - start) : none;
        }
    }
}
