package dev.nosa.engine;

import dev.nosa.cache.KvLayout;
import dev.nosa.cache.MemoryDemand;
import dev.nosa.runner.SequenceOutput;
import dev.nosa.runner.TokenRequest;
import dev.nosa.schedule.AdmissionControl;
import dev.nosa.schedule.Sequence;
import dev.nosa.tokenizer.TokenDecoder;
import java.util.Arrays;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/** A {@link GenerationRequest} at work: one sequence that samples until something stops it. */
final class Generation extends ActiveRequest {
    private final GenerationRequest request;
    private final Set<Integer> eosTokens;
    private final int maxLength;
    private final OutputText text;
    private final CompletableFuture<GenerationResult> future = new CompletableFuture<>();

    private Generation(
            GenerationRequest request,
            Set<Integer> eosTokens,
            int maxLength,
            TokenDecoder decoder,
            Sequence sequence,
            MemoryDemand demand) {
        super(sequence, demand);
        this.request = request;
        this.eosTokens = eosTokens;
        this.maxLength = maxLength;
        text = new OutputText(decoder, request.stopStrings());
    }

    static Generation of(
            GenerationRequest request, Set<Integer> eosTokens, int maxContext, TokenDecoder decoder, KvLayout layout) {
        int promptTokens = request.prompt().length;
        int maxLength = (int) Math.min((long) promptTokens + request.maxNewTokens(), maxContext);
        // The last token is sampled and never computed.
        int computed = Math.max(promptTokens, maxLength - 1);
        return new Generation(
                request,
                eosTokens,
                maxLength,
                decoder,
                Sequence.ofPrompt(request.prompt(), computed),
                MemoryDemand.of(layout, computed));
    }

    CompletableFuture<GenerationResult> future() {
        return future;
    }

    @Override
    Optional<String> refusal(AdmissionControl admission, int vocabSize) {
        int[] tokens = request.prompt();
        return refuseTokens("the prompt", tokens, vocabSize)
                .or(() -> admission
                        .refuseLength(tokens.length + 1L)
                        .map(reason -> "a prompt of " + tokens.length + " tokens and one to generate " + reason))
                .or(() -> admission
                        .refuseMemory(demand())
                        .map(reason -> "a prompt of " + tokens.length + " tokens with max-new-tokens = "
                                + request.maxNewTokens() + " " + reason));
    }

    @Override
    TokenRequest ask(int count) {
        Sequence sequence = sequence();
        return count < sequence.remaining()
                ? TokenRequest.NONE
                : new TokenRequest.Sample(request.sampling(), sequence.history(), sequence.length());
    }

    @Override
    Optional<Outcome> accept(SequenceOutput output, int count, SequenceMemory memory) {
        if (sequence().remaining() > 0) {
            return Optional.empty();
        }
        int token = output.token();
        if (eosTokens.contains(token) || request.stopTokens().contains(token)) {
            return Optional.of(Outcome.STOP);
        }
        sequence().append(token);
        try {
            if (text.append(token)) {
                return Optional.of(Outcome.STOP);
            }
        } catch (IllegalStateException e) {
            return Optional.of(Outcome.error(e.getMessage()));
        }
        return sequence().length() == maxLength ? Optional.of(Outcome.LENGTH) : Optional.empty();
    }

    @Override
    void deliver(Outcome outcome) {
        int promptTokens = request.prompt().length;
        int[] tokens = Arrays.copyOfRange(prompt().history(), promptTokens, prompt().length());
        Outcome last = finishText(outcome);
        Usage usage = usage(promptTokens, tokens.length);
        future.complete(
                new GenerationResult(request.id(), text.toString(), tokens, last.reason(), last.error(), usage));
    }

    private Outcome finishText(Outcome outcome) {
        if (outcome.reason() == FinishReason.ERROR) {
            return outcome; // a decoder that failed is not asked again
        }
        try {
            return text.finish() && outcome.equals(Outcome.LENGTH) ? Outcome.STOP : outcome;
        } catch (IllegalStateException e) {
            return Outcome.error(e.getMessage());
        }
    }

    @Override
    void deliverFailure(String error) {
        Usage usage = usage(request.prompt().length, 0);
        future.complete(new GenerationResult(request.id(), "", new int[0], FinishReason.ERROR, error, usage));
    }
}
