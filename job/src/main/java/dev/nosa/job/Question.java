package dev.nosa.job;

/**
 * A question and its expected answer.
 *
 * @param title what to call the document; the id where the input has no titles
 * @param context nominal length in tokens, or null
 * @param depth where in the document the first fact lies, from 0 to 1, or null
 */
record Question(String id, String title, String task, Integer context, Double depth, String question, String answer) {
    /** Exact match: the same text but for white space around it. Null is never right. */
    static boolean isRight(String generation, String answer) {
        return generation != null && generation.strip().equals(answer.strip());
    }

    /** The nominal length of a prompt for which none is given: the next power of two; null for null. */
    static Integer contextOf(Integer promptTokens) {
        if (promptTokens == null) {
            return null;
        }
        return promptTokens <= 1 ? 1 : Math.multiplyExact(Integer.highestOneBit(promptTokens - 1), 2);
    }
}
