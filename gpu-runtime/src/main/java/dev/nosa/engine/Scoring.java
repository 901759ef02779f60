package dev.nosa.engine;

import dev.nosa.cache.KvLayout;
import dev.nosa.cache.MemoryDemand;
import dev.nosa.runner.SequenceOutput;
import dev.nosa.runner.TokenRequest;
import dev.nosa.schedule.AdmissionControl;
import dev.nosa.schedule.Sequence;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/**
 * A {@link ScoringRequest} at work. The prompt's last position gives the first token of every continuation; the rest of
 * each comes from a fork of the prompt, one fork after the other.
 */
final class Scoring extends ActiveRequest {
    private final ScoringRequest request;
    private final float[][] logProbs;
    /** The continuation that the fork computes, or, without a fork, the next one that may need one. */
    private int current;

    private final CompletableFuture<ScoringResult> future = new CompletableFuture<>();

    private Scoring(ScoringRequest request, MemoryDemand demand) {
        super(Sequence.ofPrompt(request.prompt(), request.prompt().length), demand);
        this.request = request;
        logProbs = new float[request.continuations().size()][];
        Arrays.setAll(logProbs, i -> new float[request.continuations().get(i).length]);
    }

    static Scoring of(ScoringRequest request, KvLayout layout) {
        int promptTokens = request.prompt().length;
        MemoryDemand demand = MemoryDemand.of(layout, promptTokens);
        int longest = longest(request);
        if (longest > 1) {
            // The last token of a continuation is scored and never computed.
            int forked = Math.addExact(promptTokens, longest - 1);
            demand = demand.plus(MemoryDemand.ofFork(layout, promptTokens, forked));
        }
        return new Scoring(request, demand);
    }

    CompletableFuture<ScoringResult> future() {
        return future;
    }

    @Override
    Optional<String> refusal(AdmissionControl admission, int vocabSize) {
        if (request.continuations().isEmpty()) {
            return Optional.of("there are no continuations to score");
        }
        Optional<String> refusal = refuseTokens("the prompt", request.prompt(), vocabSize);
        for (int i = 0; i < request.continuations().size() && refusal.isEmpty(); i++) {
            refusal = refuseTokens("continuation " + i, request.continuations().get(i), vocabSize);
        }
        int longest = longest(request);
        String what = "a prompt of " + request.prompt().length + " tokens with a continuation of " + longest + " ";
        return refusal.or(() -> admission
                        .refuseLength((long) request.prompt().length + longest)
                        .map(what::concat))
                .or(() -> admission.refuseMemory(demand()).map(what::concat));
    }

    @Override
    TokenRequest ask(int count) {
        if (sequence() == prompt()) {
            return count < prompt().remaining() ? TokenRequest.NONE : firstTokens(count - 1);
        }
        int scored = sequence().computed() - prompt().length() + 1;
        int[] rows = new int[count];
        Arrays.setAll(rows, i -> i);
        int[] continuation = request.continuations().get(current);
        return new TokenRequest.Score(rows, Arrays.copyOfRange(continuation, scored, scored + count));
    }

    @Override
    Optional<Outcome> accept(SequenceOutput output, int count, SequenceMemory memory) {
        Sequence sequence = sequence();
        if (sequence != prompt()) {
            int scored = sequence.computed() - count - prompt().length() + 1;
            System.arraycopy(output.logProbs(), 0, logProbs[current], scored, count);
        } else if (sequence.remaining() == 0) {
            for (int i = 0; i < logProbs.length; i++) {
                logProbs[i][0] = output.logProbs()[i];
            }
        }
        if (sequence.remaining() > 0) {
            return Optional.empty();
        }
        if (sequence != prompt()) {
            closeSequence(memory);
            current++;
        }
        return forkNext(memory);
    }

    @Override
    void deliver(Outcome outcome) {
        List<ScoringResult.Score> scores = new ArrayList<>();
        int scoredTokens = 0;
        if (outcome.equals(Outcome.STOP)) {
            for (int i = 0; i < logProbs.length; i++) {
                scores.add(new ScoringResult.Score(request.continuations().get(i), logProbs[i]));
                scoredTokens += logProbs[i].length;
            }
        }
        Usage usage = usage(request.prompt().length, scoredTokens);
        future.complete(new ScoringResult(request.id(), scores, outcome.reason(), outcome.error(), usage));
    }

    @Override
    void deliverFailure(String error) {
        Usage usage = usage(request.prompt().length, 0);
        future.complete(new ScoringResult(request.id(), List.of(), FinishReason.ERROR, error, usage));
    }

    private Optional<Outcome> forkNext(SequenceMemory memory) {
        while (current < logProbs.length && logProbs[current].length == 1) {
            current++;
        }
        if (current == logProbs.length) {
            return Optional.of(Outcome.STOP);
        }
        int[] continuation = request.continuations().get(current);
        fork(Arrays.copyOf(continuation, continuation.length - 1), memory);
        return Optional.empty();
    }

    private TokenRequest firstTokens(int row) {
        int[] rows = new int[logProbs.length];
        Arrays.fill(rows, row);
        int[] tokens = request.continuations().stream()
                .mapToInt(continuation -> continuation[0])
                .toArray();
        return new TokenRequest.Score(rows, tokens);
    }

    private static int longest(ScoringRequest request) {
        return request.continuations().stream()
                .mapToInt(continuation -> continuation.length)
                .max()
                .orElse(0);
    }
}
