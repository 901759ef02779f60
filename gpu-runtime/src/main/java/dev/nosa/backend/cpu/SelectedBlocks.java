package dev.nosa.backend.cpu;

/**
 * The blocks that some queries attend.
 *
 * @param blocks query i's, ascending, at {@code [i * stride, i * stride + counts[i])}
 */
record SelectedBlocks(int[] blocks, int stride, int[] counts) {
    static SelectedBlocks allocate(int queries, int stride) {
        return new SelectedBlocks(new int[Math.multiplyExact(queries, stride)], stride, new int[queries]);
    }

    int get(int query, int i) {
        return blocks[query * stride + i];
    }

    void put(int query, int[] chosen, int count) {
        System.arraycopy(chosen, 0, blocks, query * stride, count);
        counts[query] = count;
    }
}
