package dev.nosa.job;

/**
 * What a run gave for a question.
 *
 * @param text null where there is none
 * @param error why the row failed, or null
 * @param promptTokens null where the run does not say
 */
record Generation(String text, String error, Integer promptTokens) {}
