package dev.nosa.backend.cpu;

/**
 * One KV head's columns of consecutive rows of an activation: row i's group of query heads, (G, D), lies at
 * {@code at(i)}.
 *
 * @param first index of the first row's group
 * @param stride from one row to the next
 */
record GroupRows(float[] data, int first, int stride) {
    int at(int row) {
        return first + row * stride;
    }
}
