package dev.nosa.job;

import java.time.Instant;
import java.util.List;

/**
 * How a run stands at the end of a job.
 *
 * @param before waves that were there when the job began
 * @param waves all that are committed
 * @param seconds of the job: reading, running and writing
 * @param finished when the run was complete; null: it is not
 */
record RunEnd(Manifest manifest, List<WaveRecord> before, List<WaveRecord> waves, double seconds, Instant finished) {}
