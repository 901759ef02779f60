package dev.nosa.backend.cpu;

/**
 * Consecutive queries of one sequence and KV head: a decode step has one, a prefill task a part of its chunk.
 *
 * @param queries rotated and scaled by 1 / sqrt(D)
 * @param position of the first query
 * @param count queries
 * @param batch places for queries in one product, missing ones padded: one number for decode and one for prefill. A
 *     query's place is {@link #place}, because OpenBLAS may compute the rows of one product in different ways
 */
record QueryTile(GroupRows queries, int position, int count, int batch) {
    private static final int PREFILL_ROWS = 32;

    static QueryTile decode(GroupRows query, int position) {
        return new QueryTile(query, position, 1, 1);
    }

    /** A tile whose products have about 32 rows, whatever the group. */
    static QueryTile prefill(GroupRows queries, int position, int count, int groupSize) {
        return new QueryTile(queries, position, count, Math.max(1, PREFILL_ROWS / groupSize));
    }

    /** Where the query stands in a product, whoever its neighbours are. */
    int place(int query) {
        return position(query) % batch;
    }

    int position(int query) {
        return position + query;
    }
}
