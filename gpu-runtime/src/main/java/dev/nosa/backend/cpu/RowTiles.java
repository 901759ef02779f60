package dev.nosa.backend.cpu;

import dev.nosa.backend.BatchInputs;
import java.util.ArrayList;
import java.util.List;

/**
 * How a batch's rows are cut into products of fixed shape: a prompt's rows 64 at a time, decode rows 8 at a time, each
 * tile padded. OpenBLAS takes the same path for products of one shape, and within one the same for a row
 * of the same place; so a prompt's token at position p stands at place p mod 64. In a product of 8 rows all places are
 * equal.
 */
record RowTiles(List<Tile> tiles, int paddedRows) {
    static final int PREFILL_ROWS = 64;
    static final int DECODE_ROWS = 8;

    /**
     * One product's rows.
     *
     * @param firstRow first tensor row
     * @param count tensor rows
     * @param staged first row of the product in the padded copy
     * @param before padding in front of the tensor's rows
     * @param rows rows of the product, the padding included
     */
    record Tile(int firstRow, int count, int staged, int before, int rows) {
        int stagedFirst() {
            return staged + before;
        }
    }

    static RowTiles of(BatchInputs batch) {
        List<Tile> tiles = new ArrayList<>();
        int decodes = 0;
        for (BatchInputs.Slice slice : batch.slices()) {
            if (slice.decode()) {
                decodes++;
            } else {
                cut(tiles, slice.firstRow(), slice.count(), slice.start() % PREFILL_ROWS, PREFILL_ROWS);
            }
        }
        cut(tiles, batch.tokens().length - decodes, decodes, 0, DECODE_ROWS);
        return new RowTiles(tiles, end(tiles));
    }

    /** Tiles of {@code count} rows that stand alone: rows of logits. */
    static RowTiles decode(int count) {
        List<Tile> tiles = new ArrayList<>();
        cut(tiles, 0, count, 0, DECODE_ROWS);
        return new RowTiles(tiles, end(tiles));
    }

    private static void cut(List<Tile> tiles, int firstRow, int count, int place, int rows) {
        int before = place;
        for (int done = 0; done < count; ) {
            int taken = Math.min(rows - before, count - done);
            tiles.add(new Tile(firstRow + done, taken, end(tiles), before, rows));
            done += taken;
            before = 0;
        }
    }

    private static int end(List<Tile> tiles) {
        return tiles.isEmpty() ? 0 : tiles.get(tiles.size() - 1).staged + tiles.get(tiles.size() - 1).rows;
    }
}
