package dev.nosa.job;

import java.io.Serializable;

/**
 * One line of the doctor's report.
 *
 * @param level whether the job would run
 * @param name a word or two
 * @param text what was found, and, unless all is well, what to change
 */
record HealthCheck(Level level, String name, String text) implements Serializable {
    /** Whether something has to be changed. */
    enum Level {
        OK,
        /** The job runs, but slower or with less. */
        WARN,
        /** The job does not run. */
        FAIL
    }

    static HealthCheck ok(String name, String text) {
        return new HealthCheck(Level.OK, name, text);
    }

    static HealthCheck warn(String name, String text) {
        return new HealthCheck(Level.WARN, name, text);
    }

    static HealthCheck fail(String name, String text) {
        return new HealthCheck(Level.FAIL, name, text);
    }
}
