package dev.nosa.schedule;

import dev.nosa.cache.KvCacheManager;
import dev.nosa.cache.SequenceCache;
import dev.nosa.schedule.StepPlan.Share;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;

/**
 * Decides who runs in a step. First come, first served: a request that does not fit yet holds back those behind it, and
 * the prompt budget of a step goes to the longest running. Owned by the engine thread.
 */
public final class Scheduler<R extends Schedulable> {
    /**
     * A chunk ends at a multiple of these tokens unless it ends its prompt, so that no tile of a prompt's products is cut
     * in two and padded twice.
     */
    private static final int TILE = 64;

    private final KvCacheManager cache;
    private final int maxBatch;
    private final int maxStepTokens;
    private final Deque<R> waiting = new ArrayDeque<>();
    private final List<R> running = new ArrayList<>();

    /**
     * @param maxBatch requests that run at once
     * @param maxStepTokens prompt tokens of a step, a multiple of 64
     */
    public Scheduler(KvCacheManager cache, int maxBatch, int maxStepTokens) {
        this.cache = cache;
        this.maxBatch = maxBatch;
        this.maxStepTokens = maxStepTokens;
    }

    public void add(R request) {
        waiting.add(request);
    }

    public List<R> waiting() {
        return List.copyOf(waiting);
    }

    public List<R> running() {
        return List.copyOf(running);
    }

    /** Admits what fits and shares out a step; empty if no request is here. */
    public StepPlan<R> plan(PrefixSource<R> prefixes) {
        List<R> admitted = admit(prefixes);
        List<Share<R>> shares = new ArrayList<>(running.size());
        List<Share<R>> decodes = new ArrayList<>(running.size());
        int promptTokens = maxStepTokens;
        for (R request : running) {
            Sequence sequence = request.sequence();
            if (sequence.isDecoding()) {
                decodes.add(share(request, sequence, 1, true));
                continue;
            }
            int count = chunk(sequence, promptTokens);
            if (count > 0) {
                shares.add(share(request, sequence, count, false));
                promptTokens -= count;
            }
        }
        shares.addAll(decodes);
        return new StepPlan<>(admitted, shares);
    }

    /** Counts the plan's tokens as computed. */
    public void complete(StepPlan<R> plan) {
        for (Share<R> share : plan.shares()) {
            share.sequence().advance(share.count());
        }
    }

    /** Forgets a request; false if it is not here (any more). Its memory is the caller's to close. */
    public boolean remove(R request) {
        return running.remove(request) || waiting.remove(request);
    }

    private List<R> admit(PrefixSource<R> prefixes) {
        List<R> admitted = new ArrayList<>();
        while (!waiting.isEmpty() && running.size() < maxBatch) {
            prefixes.missing(waiting.element()).ifPresent(waiting::addFirst);
            R request = waiting.element();
            if (request.continued().map(Sequence::remaining).orElse(0) > 0) {
                break;
            }
            if (reserve(request)) {
                running.add(waiting.remove());
                admitted.add(request);
            } else if (!prefixes.evict()) {
                break;
            }
        }
        if (running.isEmpty() && !waiting.isEmpty()) {
            throw new IllegalStateException(
                    "an idle engine cannot admit " + waiting.element().demand());
        }
        return admitted;
    }

    private boolean reserve(R request) {
        Sequence sequence = request.sequence();
        Optional<Sequence> continued = request.continued();
        Optional<SequenceCache> place = continued.isEmpty()
                ? cache.tryAdmit(request.demand(), sequence.maxTokens())
                : cache.tryFork(continued.get().cache(), continued.get().length(), sequence.maxTokens());
        place.ifPresent(admitted ->
                sequence.admit(admitted, continued.map(Sequence::length).orElse(0)));
        return place.isPresent();
    }

    private static <R extends Schedulable> Share<R> share(R request, Sequence sequence, int count, boolean decode) {
        sequence.cache().grow(sequence.computed() + count);
        return new Share<>(request, sequence, count, decode);
    }

    private static int chunk(Sequence sequence, int promptTokens) {
        if (sequence.remaining() <= promptTokens) {
            return sequence.remaining();
        }
        int end = (sequence.computed() + promptTokens) / TILE * TILE;
        return Math.max(0, end - sequence.computed());
    }
}
