package dev.nosa.job;

import java.time.Instant;
import java.util.List;

/**
 * A run whose last job is done.
 *
 * @param before waves that were there when that job began
 * @param waves all of them
 * @param seconds of that job: reading, running and writing
 * @param finished when it was done
 */
record FinishedRun(
        Manifest manifest, List<WaveRecord> before, List<WaveRecord> waves, double seconds, Instant finished) {}
