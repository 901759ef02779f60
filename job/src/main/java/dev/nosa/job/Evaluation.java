package dev.nosa.job;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * What a run answered, and how much of it is right.
 *
 * @param answers in the order of the questions
 */
record Evaluation(List<Scored> answers) {
    private static final int DEPTH_BINS = 10;
    private static final List<String> DEPTHS = IntStream.range(0, DEPTH_BINS)
            .mapToObj(bin -> 10 * bin + " to " + 10 * (bin + 1) + " %")
            .toList();

    /** {@code generations} must have one for each question. */
    static Evaluation of(List<Question> questions, Map<String, Generation> generations) {
        return new Evaluation(questions.stream()
                .map(question -> new Scored(question, generations.get(question.id())))
                .toList());
    }

    Share total() {
        return new Share((int) answers.stream().filter(Scored::right).count(), answers.size());
    }

    /** Known tasks first. */
    ShareGrid byTask() {
        List<String> tasks = new ArrayList<>(QuestionSet.TASKS);
        answers.stream().map(answer -> answer.question().task()).forEach(tasks::add);
        List<String> used = tasks.stream()
                .distinct()
                .filter(task -> answers.stream()
                        .anyMatch(answer -> answer.question().task().equals(task)))
                .toList();
        return new ShareGrid(answers, used, answer -> answer.question().task());
    }

    /** Ten bins of those answers whose question has a depth; null where none has. */
    ShareGrid byDepth() {
        List<Scored> deep = answers.stream()
                .filter(answer -> answer.question().depth() != null)
                .toList();
        return deep.isEmpty() ? null : new ShareGrid(deep, DEPTHS, Evaluation::depthName);
    }

    private static String depthName(Scored answer) {
        return DEPTHS.get(Math.min(DEPTH_BINS - 1, (int) (answer.question().depth() * DEPTH_BINS)));
    }
}
