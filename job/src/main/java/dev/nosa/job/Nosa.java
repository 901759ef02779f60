package dev.nosa.job;

import java.util.Arrays;

/** The {@code nosa} command line. */
public final class Nosa {
    private Nosa() {}

    public static void main(String[] args) {
        System.out.println(Arrays.toString(args));
        System.exit(args.length);
    }
}
