package dev.nosa.job;

import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * This run's generations beside those of another, to the letter; two that are not there are equal.
 *
 * @param other path of the other run
 */
record Comparison(String other, int equal, List<Difference> differences) {
    /** Two generations of one question, null where there is none. */
    record Difference(String id, String ours, String theirs) {}

    static Comparison of(Evaluation evaluation, String other, Map<String, Generation> theirs) {
        List<Difference> differences = evaluation.answers().stream()
                .map(answer -> new Difference(
                        answer.question().id(),
                        answer.generation().text(),
                        theirs.get(answer.question().id()).text()))
                .filter(pair -> !Objects.equals(pair.ours, pair.theirs))
                .toList();
        return new Comparison(other, evaluation.answers().size() - differences.size(), differences);
    }
}
