package dev.nosa.job;

import java.util.Set;
import picocli.CommandLine.Option;

/** Where results go, and how many of them may be errors. */
final class OutputOptions {
    @Option(
            names = "--output",
            paramLabel = "PATH",
            description = "Folder to write, one wave=NNNNN in it a wave (required)")
    String output;

    @Option(
            names = "--output-format",
            paramLabel = "FORMAT",
            defaultValue = "parquet",
            description = "parquet, delta, or any other data source of files that Spark finds (default: parquet)")
    String format;

    @Option(
            names = "--output-mode",
            paramLabel = "MODE",
            defaultValue = "resume",
            description = "If the output exists: resume, go on where a run with the same options ended; error;"
                    + " or overwrite, once the new one is complete (default: resume)")
    String mode;

    @Option(
            names = "--max-error-rate",
            paramLabel = "R",
            defaultValue = "0.1",
            description = "Share of documents with status error above which the job fails at its end, output kept"
                    + " (default: 0.1)")
    double maxErrorRate;

    boolean overwrites() {
        return mode.equals("overwrite");
    }

    boolean resumes() {
        return mode.equals("resume");
    }

    void check() {
        DataSources.require(format, "--output-format");
        if (output == null) {
            throw new UsageException("a folder for the results is required", "--output");
        }
        if (!Set.of("resume", "error", "overwrite").contains(mode)) {
            throw new UsageException("unknown mode '" + mode + "'; known: resume, error, overwrite", "--output-mode");
        }
        if (!(maxErrorRate >= 0 && maxErrorRate <= 1)) {
            throw new UsageException("max-error-rate = " + maxErrorRate + ": must be from 0 to 1", "--max-error-rate");
        }
    }
}
