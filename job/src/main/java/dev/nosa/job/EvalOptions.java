package dev.nosa.job;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Option;

/** What is asked, what else is compared, and where the figures go. */
final class EvalOptions {
    @Option(
            names = "--tasks",
            paramLabel = "NAME",
            split = ",",
            description = "Names of tasks beside single, multikey, multivalue, multiquery and variables; repeat it or"
                    + " separate them by commas")
    List<String> tasks = new ArrayList<>();

    @Option(
            names = "--answers",
            paramLabel = "PATH",
            description = "Run no model, but score the generations of an earlier run or another engine: Parquet or"
                    + " JSON lines with id and generation")
    String answers;

    @Option(
            names = "--compare",
            paramLabel = "PATH",
            description = "Compare the generations with those of another run, stored as for --answers; fails where some"
                    + " differ")
    String compare;

    @Option(names = "--report", paramLabel = "FILE", description = "Write the figures there as JSON")
    Path report;

    @Option(
            names = "--heat-map",
            paramLabel = "FILE",
            description = "Draw exact match over depth and context length there, as PNG")
    Path heatMap;

    @Option(
            names = "--fail-under",
            paramLabel = "SHARE",
            defaultValue = "0",
            description = "Share of right answers, from 0 to 1, below which the command fails (default: 0)")
    double failUnder;

    void check() {
        if (answers != null && compare != null) {
            throw new UsageException("--answers runs no model whose generations could be compared", "--compare");
        }
        if (!(failUnder >= 0 && failUnder <= 1)) {
            throw new UsageException("fail-under = " + failUnder + ": must be from 0 to 1", "--fail-under");
        }
        requireWritable(report, "--report");
        requireWritable(heatMap, "--heat-map");
        if (heatMap != null) {
            requireFonts();
        }
    }

    /** Before the model runs: its results would be lost. */
    private static void requireWritable(Path file, String option) {
        if (file == null) {
            return;
        }
        Path folder = file.toAbsolutePath().getParent();
        Path written = Files.exists(file) ? file : folder;
        if (Files.isDirectory(file) || !Files.isDirectory(folder) || !Files.isWritable(written)) {
            throw new UsageException("cannot write " + file + ": must be a file in a folder that exists", option);
        }
    }

    private static void requireFonts() {
        System.setProperty("java.awt.headless", "true"); // a picture in memory needs no display, even if one is named
        try {
            HeatMap.measure();
        } catch (Error | RuntimeException e) { // a JVM without fonts or AWT throws this or that by its version
            throw new UsageException(
                    "this JVM cannot draw text; install fontconfig, a font, and a Java that has AWT", "--heat-map", e);
        }
    }
}
