package dev.nosa.job;

import java.util.ArrayList;
import java.util.List;

/**
 * How a figure is spread over rows.
 *
 * @param rows that have it
 * @param bins of equal width up to {@code p99}, and one behind it if it holds a row; where all rows have one value, that bin alone
 */
record Distribution(
        String name,
        String unit,
        long rows,
        double min,
        double p50,
        double p90,
        double p99,
        double max,
        double mean,
        List<Bin> bins) {
    static final int BINS = 24;

    /** Rows with a value of at least {@code from} and below {@code to}; the last one's {@code to} is among them. */
    record Bin(double from, double to, long rows) {}

    double width() {
        return (p99 - min) / BINS;
    }

    /** @param counted rows of each bin, and of that behind p99 */
    Distribution withBins(long[] counted) {
        List<Bin> all = new ArrayList<>();
        for (int i = 0; i < BINS && (i == 0 || width() > 0); i++) {
            all.add(new Bin(min + i * width(), min + (i + 1) * width(), counted[i]));
        }
        if (counted[BINS] > 0) {
            all.add(new Bin(p99, max, counted[BINS]));
        }
        return new Distribution(name, unit, rows, min, p50, p90, p99, max, mean, all);
    }
}
