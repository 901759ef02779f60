package dev.nosa.job;

import picocli.CommandLine.Option;

/** How a run is cut into waves, and what it does with those that are there. */
final class WaveOptions {
    @Option(
            names = "--wave-docs",
            paramLabel = "N",
            defaultValue = "0",
            description = "Documents that are committed together (default: 0, by tokens)")
    long docs;

    @Option(
            names = "--wave-tokens",
            paramLabel = "N",
            defaultValue = "0",
            description = "Tokens of documents that are committed together, about (default: 0, some minutes' work)")
    long tokens;

    @Option(
            names = "--retry-failed",
            description = "Try documents with status error again, in a run that goes on or is done")
    boolean retryFailed;

    @Option(
            names = "--incremental",
            description = "Take rows with new ids where the input has changed since the run began")
    boolean incremental;

    @Option(
            names = "--break-lock",
            description = "Take the run from another job that has given no sign of life for five minutes")
    boolean breakLock;

    void check() {
        if (docs < 0) {
            throw new UsageException("wave-docs = " + docs + ": must be 0 (automatic) or more", "--wave-docs");
        }
        if (tokens < 0) {
            throw new UsageException("wave-tokens = " + tokens + ": must be 0 (automatic) or more", "--wave-tokens");
        }
        if (docs > 0 && tokens > 0) {
            throw new UsageException("a wave has a size in documents or in tokens, not both", "--wave-docs");
        }
    }
}
