package dev.nosa.job;

import java.util.List;

/**
 * How a figure is spread over rows.
 *
 * @param rows that have it
 * @param bins of equal width up to {@code p99}, and one behind it; without those that are empty
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

    /** Rows with a value of at least {@code from} and below {@code to}; the last one's {@code to} is the largest. */
    record Bin(double from, double to, long rows) {}

    double width() {
        return (p99 - min) / BINS;
    }

    /** The bin of a number, where {@link #BINS} is the one behind p99. */
    Bin bin(int number, long count) {
        return number == BINS
                ? new Bin(p99, max, count)
                : new Bin(min + number * width(), min + (number + 1) * width(), count);
    }

    Distribution with(List<Bin> counted) {
        return new Distribution(name, unit, rows, min, p50, p90, p99, max, mean, counted);
    }
}
