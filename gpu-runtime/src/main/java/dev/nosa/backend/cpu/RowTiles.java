package dev.nosa.backend.cpu;

import dev.nosa.backend.BatchInputs;
import java.util.ArrayList;
import java.util.List;

/**
 * How a batch's rows are cut into products of fixed shape: a prompt's rows 64 at a time from the start of its chunk,
 * decode rows 8 at a time, each tile padded with zero rows. With the shape fixed, OpenBLAS takes the same path for a
 * row whatever else is in the batch.
 */
record RowTiles(List<Tile> tiles, int paddedRows) {
    static final int PREFILL_ROWS = 64;
    static final int DECODE_ROWS = 8;

    /**
     * One product's rows.
     *
     * @param firstRow first tensor row
     * @param count tensor rows
     * @param rows rows of the product, the padding included
     * @param staged first row in the padded copy
     */
    record Tile(int firstRow, int count, int rows, int staged) {}

    static RowTiles of(BatchInputs batch) {
        List<Tile> tiles = new ArrayList<>();
        int staged = 0;
        int decodes = 0;
        for (BatchInputs.Slice slice : batch.slices()) {
            if (slice.decode()) {
                decodes++;
            } else {
                staged = cut(tiles, slice.firstRow(), slice.count(), PREFILL_ROWS, staged);
            }
        }
        staged = cut(tiles, batch.tokens().length - decodes, decodes, DECODE_ROWS, staged);
        return new RowTiles(tiles, staged);
    }

    /** Tiles of {@code count} rows that stand alone: rows of logits. */
    static RowTiles decode(int count) {
        List<Tile> tiles = new ArrayList<>();
        return new RowTiles(tiles, cut(tiles, 0, count, DECODE_ROWS, 0));
    }

    private static int cut(List<Tile> tiles, int firstRow, int count, int rows, int staged) {
        int at = staged;
        for (int done = 0; done < count; done += rows) {
            tiles.add(new Tile(firstRow + done, Math.min(rows, count - done), rows, at));
            at += rows;
        }
        return at;
    }
}
