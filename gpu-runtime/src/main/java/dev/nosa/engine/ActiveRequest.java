package dev.nosa.engine;

import dev.nosa.backend.KvTraffic;
import dev.nosa.cache.MemoryDemand;
import dev.nosa.runner.SequenceOutput;
import dev.nosa.runner.TokenRequest;
import dev.nosa.schedule.AdmissionControl;
import dev.nosa.schedule.Schedulable;
import dev.nosa.schedule.Sequence;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;

/**
 * A request from submission to result: what to ask of each step and what to make of its outputs. Made on the
 * submitter's thread; once it is in the {@link Inbox}, the engine thread's.
 */
abstract class ActiveRequest implements Schedulable {
    private static final double NANOS_PER_MILLI = 1e6;

    private final Sequence prompt;
    private final MemoryDemand demand;
    /** The prompt's, and on top of it a fork where there is one. */
    private final Deque<Sequence> sequences = new ArrayDeque<>();

    /** What the prompt continues; null for none, or while {@link #headTokens} name it. */
    private SharedPrefix prefix;
    /** Tokens at the prompt's start that are to be looked up among the kept heads; 0 for none. */
    private int headTokens;

    private final long submitted = System.nanoTime();
    private boolean isAdmitted;
    private boolean isPrefilled;
    private long admitted;
    private long prefilled;
    private int sharedTokens;
    private KvTraffic traffic = KvTraffic.NONE;

    ActiveRequest(Sequence prompt, MemoryDemand demand) {
        this.prompt = prompt;
        this.demand = demand;
        sequences.push(prompt);
    }

    /** Why the request can never run; empty if it can. Safe from the submitter's thread. */
    abstract Optional<String> refusal(AdmissionControl admission, int vocabSize);

    /** What to ask of the logits of the next {@code count} tokens of {@link #sequence()}. */
    abstract TokenRequest ask(int count);

    /** Takes the output of {@code count} tokens, which count as computed already; empty if the request goes on. */
    abstract Optional<Outcome> accept(SequenceOutput output, int count, SequenceMemory memory);

    /** Completes the future with all that is there; throws if that fails. */
    abstract void deliver(Outcome outcome);

    /** Completes the future with nothing but an error. */
    abstract void deliverFailure(String error);

    @Override
    public final MemoryDemand demand() {
        return demand;
    }

    @Override
    public final Sequence sequence() {
        return sequences.peek();
    }

    @Override
    public final Optional<Sequence> continued() {
        return Optional.ofNullable(prefix).map(ActiveRequest::prompt);
    }

    final Sequence prompt() {
        return prompt;
    }

    /** Lets the prompt continue {@code shared}, which has the same tokens. */
    final void continues(SharedPrefix shared) {
        prefix = shared;
        shared.addUser();
    }

    /** Lets the prompt continue a kept sequence of its first {@code tokens} tokens. */
    final void startsWithHead(int tokens) {
        headTokens = tokens;
    }

    final SharedPrefix prefix() {
        return prefix;
    }

    final int headTokens() {
        return headTokens;
    }

    /** The first request that continues a prefix answers for its time and traffic. */
    final void open(SequenceMemory memory) {
        isAdmitted = true;
        admitted = System.nanoTime();
        memory.open(prompt, continued());
        if (prefix != null) {
            ActiveRequest shared = prefix;
            boolean answers = prefix.claim();
            admitted = answers ? shared.admitted : admitted;
            traffic = answers ? shared.traffic : traffic;
            sharedTokens = answers ? shared.sharedTokens : shared.prompt.length();
        }
    }

    final boolean isAdmitted() {
        return isAdmitted;
    }

    /** Goes on to a fork of the prompt. */
    final void fork(int[] tokens, SequenceMemory memory) {
        sequences.push(memory.fork(prompt, tokens));
    }

    /** Ends the newest sequence. */
    final void closeSequence(SequenceMemory memory) {
        memory.close(sequences.pop());
    }

    final void closeAll(SequenceMemory memory) {
        while (isAdmitted && !sequences.isEmpty()) {
            closeSequence(memory);
        }
    }

    Optional<Outcome> acceptStep(SequenceOutput output, int count, SequenceMemory memory) {
        addTraffic(output.traffic());
        if (!isPrefilled && prompt.isDecoding()) {
            isPrefilled = true;
            prefilled = System.nanoTime();
        }
        return output.error() == null ? accept(output, count, memory) : Optional.of(Outcome.error(output.error()));
    }

    final void addTraffic(KvTraffic step) {
        traffic = traffic.plus(step);
    }

    /** Completes the future, whatever happens. */
    final void complete(Outcome outcome) {
        try {
            deliver(outcome);
        } catch (RuntimeException | Error e) {
            deliverFailure("the result cannot be made: " + e);
        }
    }

    final Usage usage(int promptTokens, int outputTokens) {
        long now = System.nanoTime();
        return new Usage(
                promptTokens,
                sharedTokens,
                outputTokens,
                millis(submitted, isAdmitted ? admitted : now),
                isAdmitted ? millis(admitted, isPrefilled ? prefilled : now) : 0,
                isPrefilled ? millis(prefilled, now) : 0,
                traffic,
                System.currentTimeMillis());
    }

    static Optional<String> refuseTokens(String what, int[] tokens, int vocabSize) {
        if (tokens.length == 0) {
            return Optional.of(what + " is empty");
        }
        for (int i = 0; i < tokens.length; i++) {
            if (tokens[i] < 0 || tokens[i] >= vocabSize) {
                return Optional.of(what + " has token id " + tokens[i] + " at index " + i
                        + ", outside the model's vocabulary of " + vocabSize);
            }
        }
        return Optional.empty();
    }

    private static double millis(long from, long to) {
        return (to - from) / NANOS_PER_MILLI;
    }
}
