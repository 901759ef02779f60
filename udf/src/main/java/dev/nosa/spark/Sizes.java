package dev.nosa.spark;

import java.util.Locale;

/** Sizes in messages and settings. */
final class Sizes {
    private static final String[] UNITS = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    private static final long MIB = 1L << 20;

    private Sizes() {}

    /** {@code 1.5 GiB}. */
    static String text(long bytes) {
        double value = bytes;
        int unit = 0;
        while (value >= 1024 && unit < UNITS.length - 1) {
            value /= 1024;
            unit++;
        }
        return unit == 0 ? bytes + " bytes" : String.format(Locale.ROOT, "%.1f %s", value, UNITS[unit]);
    }

    /** As Spark's settings have it, rounded up: {@code 66g}, or {@code 1536m}. */
    static String setting(long bytes) {
        long mib = (bytes + MIB - 1) / MIB;
        return mib % 1024 == 0 ? mib / 1024 + "g" : mib + "m";
    }
}
