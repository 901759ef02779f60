package dev.nosa.job;

/** A question with what a run gave for it. A row that failed is wrong, whatever text it has. */
record Scored(Question question, Generation generation) {
    boolean right() {
        return !failed() && Question.isRight(generation.text(), question.answer());
    }

    boolean failed() {
        return generation.error() != null;
    }

    /** The nominal length, or one made of the prompt's tokens; null where neither is known. */
    Integer context() {
        return question.context() != null ? question.context() : Question.contextOf(generation.promptTokens());
    }
}
