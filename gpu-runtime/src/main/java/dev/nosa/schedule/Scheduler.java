package dev.nosa.schedule;

import dev.nosa.cache.KvCacheManager;
import dev.nosa.cache.SequenceCache;
import dev.nosa.schedule.StepPlan.Share;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Queue;

/**
 * Decides who runs in a step. First come, first served: a request that does not fit yet holds back those behind it, and
 * the prompt budget of a step goes to the longest running. Owned by the engine thread.
 */
public final class Scheduler<R extends Schedulable> {
    /**
     * A chunk has a multiple of these tokens unless it ends its prompt, so that no tile of a prompt's products is cut in
     * two and padded twice.
     */
    private static final int TILE = 64;

    private final KvCacheManager cache;
    private final int maxBatch;
    private final int maxStepTokens;
    private final Queue<R> waiting = new ArrayDeque<>();
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
    public StepPlan<R> plan() {
        List<R> admitted = admit();
        List<Share<R>> shares = new ArrayList<>(running.size());
        List<Share<R>> decodes = new ArrayList<>(running.size());
        int promptTokens = maxStepTokens;
        for (R request : running) {
            Sequence sequence = request.sequence();
            if (sequence.isDecoding()) {
                decodes.add(share(request, sequence, 1, true));
                continue;
            }
            int count = chunk(sequence.remaining(), promptTokens);
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

    private List<R> admit() {
        List<R> admitted = new ArrayList<>();
        while (!waiting.isEmpty() && running.size() < maxBatch) {
            R request = waiting.element();
            Optional<SequenceCache> place =
                    cache.tryAdmit(request.demand(), request.sequence().maxTokens());
            if (place.isEmpty()) {
                break;
            }
            request.sequence().admit(place.get());
            running.add(waiting.remove());
            admitted.add(request);
        }
        if (running.isEmpty() && !waiting.isEmpty()) {
            throw new IllegalStateException(
                    "an idle engine cannot admit " + waiting.element().demand());
        }
        return admitted;
    }

    private static <R extends Schedulable> Share<R> share(R request, Sequence sequence, int count, boolean decode) {
        sequence.cache().grow(sequence.computed() + count);
        return new Share<>(request, sequence, count, decode);
    }

    private static int chunk(int remaining, int promptTokens) {
        return remaining <= promptTokens ? remaining : promptTokens - promptTokens % TILE;
    }
}
