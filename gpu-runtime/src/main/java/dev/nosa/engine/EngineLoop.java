package dev.nosa.engine;

import dev.nosa.cache.KvCacheManager;
import dev.nosa.model.ModelConfig;
import dev.nosa.runner.ModelRunner;
import dev.nosa.runner.SequenceInput;
import dev.nosa.runner.SequenceOutput;
import dev.nosa.schedule.Scheduler;
import dev.nosa.schedule.Sequence;
import dev.nosa.schedule.StepPlan;
import dev.nosa.schedule.StepPlan.Share;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What the engine thread does: take mail, plan, run, hand out, until the inbox is closed or something fails. */
final class EngineLoop implements Runnable {
    private static final Logger log = LoggerFactory.getLogger(EngineLoop.class);

    private final Inbox inbox;
    private final Scheduler<ActiveRequest> scheduler;
    private final KvCacheManager cache;
    private final ModelRunner runner;
    private final SequenceMemory memory;
    private final SharedPrefixes prefixes;
    private final StepMeter meter;
    private volatile EngineStats stats;

    EngineLoop(
            Inbox inbox,
            Scheduler<ActiveRequest> scheduler,
            KvCacheManager cache,
            ModelRunner runner,
            ModelConfig model) {
        this.inbox = inbox;
        this.scheduler = scheduler;
        this.cache = cache;
        this.runner = runner;
        memory = new SequenceMemory(cache, runner);
        prefixes = new SharedPrefixes(scheduler, cache.layout(), memory);
        meter = new StepMeter(model);
        publishStats();
    }

    @Override
    public void run() {
        try {
            runner.bindThread();
            while (!inbox.isClosed()) {
                if (!step()) {
                    long start = System.nanoTime();
                    inbox.await();
                    meter.waited(System.nanoTime() - start);
                }
            }
            cancelAll();
        } catch (Exception | Error e) {
            log.error("The engine failed and takes no more requests", e);
            inbox.fail(e);
            failAll("the engine failed: " + e);
        }
    }

    /** One forward pass over all that can run; false if nothing can. */
    boolean step() {
        takeMail();
        StepPlan<ActiveRequest> plan = scheduler.plan(prefixes);
        if (plan.isEmpty()) {
            cache.checkIntegrity();
            publishStats();
            return false;
        }
        open(plan.admitted());
        publishStats();
        long start = System.nanoTime();
        List<SequenceOutput> outputs = runner.run(inputs(plan));
        scheduler.complete(plan);
        meter.count(plan, outputs, System.nanoTime() - start, runner.missedByLayer());
        handOut(plan, outputs);
        publishStats();
        return true;
    }

    /** Totals as of the last step. Safe from any thread. */
    EngineStats stats() {
        return stats.withWaiting(inbox.waiting());
    }

    private void takeMail() {
        Inbox.Mail mail = inbox.take();
        mail.submitted().forEach(prefixes::add);
        mail.cancelled().forEach(request -> end(request, Outcome.CANCELLED));
    }

    private void open(List<ActiveRequest> admitted) {
        admitted.forEach(request -> request.open(memory));
        inbox.admitted((int) admitted.stream()
                .filter(request -> !(request instanceof SharedPrefix))
                .count());
    }

    private static List<SequenceInput> inputs(StepPlan<ActiveRequest> plan) {
        return plan.shares().stream().map(EngineLoop::input).toList();
    }

    private static SequenceInput input(Share<ActiveRequest> share) {
        Sequence sequence = share.sequence();
        return new SequenceInput(
                sequence.cache().row(),
                sequence.computed(),
                sequence.next(share.count()),
                sequence.cache().blocks(),
                share.decode(),
                share.request().ask(share.count()));
    }

    private void handOut(StepPlan<ActiveRequest> plan, List<SequenceOutput> outputs) {
        for (int i = 0; i < outputs.size(); i++) {
            Share<ActiveRequest> share = plan.shares().get(i);
            share.request()
                    .acceptStep(outputs.get(i), share.count(), memory)
                    .ifPresent(outcome -> end(share.request(), outcome));
        }
    }

    /**
     * Gives the request's memory back and completes it; nothing happens if it has ended before. A prefix that is computed
     * only leaves the queue.
     */
    private void end(ActiveRequest request, Outcome outcome) {
        boolean isPrefix = request instanceof SharedPrefix && outcome.equals(Outcome.STOP);
        if (scheduler.remove(request) && !isPrefix) {
            prefixes.close(request);
            request.complete(outcome);
            inbox.finished(request);
        }
    }

    private void cancelAll() {
        takeMail();
        inbox.unfinished().forEach(request -> end(request, Outcome.CANCELLED));
        prefixes.closeHeads();
        cache.checkIntegrity();
        publishStats();
    }

    /** Without a look at rows and blocks: after a failure nothing is known of them. */
    private void failAll(String error) {
        for (ActiveRequest request : inbox.unfinished()) {
            request.complete(Outcome.error(error));
            inbox.finished(request);
        }
    }

    private void publishStats() {
        stats = meter.stats(scheduler.running().size(), cache);
    }
}
