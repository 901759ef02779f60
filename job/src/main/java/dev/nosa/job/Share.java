package dev.nosa.job;

import java.util.Locale;

/** How many of how many are right. */
record Share(int right, int total) {
    static final Share NONE = new Share(0, 0);

    Share plus(boolean isRight) {
        return new Share(right + (isRight ? 1 : 0), total + 1);
    }

    /** From 0 to 1; not a number for none of none. */
    double value() {
        return (double) right / total;
    }

    /** With one decimal; a dash for none of none. */
    String percent() {
        return total == 0 ? "-" : String.format(Locale.ROOT, "%.1f", 100 * value());
    }
}
