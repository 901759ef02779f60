package dev.nosa.job;

/**
 * What a committed wave holds.
 *
 * @param state {@link #COMMITTED}, or {@link #REPLACING} while another version takes its place
 * @param sharedTokens of the prompt tokens, those that were computed for another row
 * @param started UTC, ISO 8601
 */
record WaveRecord(
        int wave,
        String state,
        long documents,
        long truncated,
        long errors,
        long promptTokens,
        long sharedTokens,
        long outputTokens,
        String started,
        double seconds) {
    static final String COMMITTED = "committed";
    static final String REPLACING = "replacing";

    WaveRecord with(String newState) {
        return new WaveRecord(
                wave,
                newState,
                documents,
                truncated,
                errors,
                promptTokens,
                sharedTokens,
                outputTokens,
                started,
                seconds);
    }

    /** Tokens that were computed. */
    long computedTokens() {
        return promptTokens - sharedTokens + outputTokens;
    }
}
