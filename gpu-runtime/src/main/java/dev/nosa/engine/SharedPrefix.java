package dev.nosa.engine;

import dev.nosa.cache.KvLayout;
import dev.nosa.cache.MemoryDemand;
import dev.nosa.runner.SequenceOutput;
import dev.nosa.runner.TokenRequest;
import dev.nosa.schedule.AdmissionControl;
import dev.nosa.schedule.Sequence;
import java.util.Optional;

/**
 * Tokens that several prompts begin with: computed once, then open until nobody continues it. It is no request of a
 * submitter, and has no result. Made on a submitter's thread or the engine's; once it is submitted, the engine thread's.
 */
final class SharedPrefix extends ActiveRequest {
    private int users;
    private boolean entered;
    private boolean claimed;

    /** {@code tokens} are not copied. */
    SharedPrefix(int[] tokens, KvLayout layout) {
        super(Sequence.ofPrompt(tokens, tokens.length), MemoryDemand.of(layout, tokens.length));
    }

    /** One more request needs it. */
    void addUser() {
        users++;
    }

    /** One less; false for the last one. */
    boolean removeUser() {
        return --users > 0;
    }

    boolean isUsed() {
        return users > 0;
    }

    /** Whether it was not queued before. */
    boolean enter() {
        boolean first = !entered;
        entered = true;
        return first;
    }

    boolean isComputed() {
        return isAdmitted() && prompt().remaining() == 0;
    }

    /** Whether nobody has claimed its time and traffic before. */
    boolean claim() {
        boolean first = !claimed;
        claimed = true;
        return first;
    }

    @Override
    Optional<String> refusal(AdmissionControl admission, int vocabSize) {
        return Optional.empty(); // its users' refusals cover it
    }

    @Override
    TokenRequest ask(int count) {
        return TokenRequest.NONE;
    }

    /** An error shows again in the tokens that follow, and is then a result's. */
    @Override
    Optional<Outcome> acceptStep(SequenceOutput output, int count, SequenceMemory memory) {
        addTraffic(output.traffic());
        return accept(output, count, memory);
    }

    @Override
    Optional<Outcome> accept(SequenceOutput output, int count, SequenceMemory memory) {
        return prompt().remaining() == 0 ? Optional.of(Outcome.STOP) : Optional.empty();
    }

    @Override
    void deliver(Outcome outcome) {
        // Nobody waits for it but the requests that continue it.
    }

    @Override
    void deliverFailure(String error) {
        // As above.
    }
}
