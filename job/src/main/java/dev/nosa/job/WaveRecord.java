package dev.nosa.job;

/**
 * What a committed wave holds.
 *
 * @param state {@link #COMMITTED}, or {@link #REPLACING} while another version takes its place
 * @param started UTC, ISO 8601
 */
record WaveRecord(
        int wave,
        String state,
        long documents,
        long truncated,
        long errors,
        long promptTokens,
        long outputTokens,
        String started,
        double seconds) {
    static final String COMMITTED = "committed";
    static final String REPLACING = "replacing";

    WaveRecord with(String newState) {
        return new WaveRecord(
                wave, newState, documents, truncated, errors, promptTokens, outputTokens, started, seconds);
    }
}
