package dev.nosa.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.nosa.cache.KvCacheManager;
import dev.nosa.cache.KvLayout;
import dev.nosa.cache.MemoryBudget;
import dev.nosa.cache.MemoryDemand;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.SparseConfig;
import java.util.List;
import org.junit.jupiter.api.Test;

class SchedulerTest {
    private static final KvLayout LAYOUT =
            new KvLayout(1, 1, 32, AttentionMode.FULL, new SparseConfig(16, 8, 4, 1, 1, 6, 2, 0), 0, 4, 4);

    private final KvCacheManager cache = new KvCacheManager(LAYOUT, new MemoryBudget(8, 100, 1L << 30));
    private final Scheduler<Request> scheduler = new Scheduler<>(cache, 4, 128);

    private record Request(Sequence sequence, MemoryDemand demand) implements Schedulable {
        static Request of(int promptTokens, int maxTokens) {
            return new Request(Sequence.ofPrompt(new int[promptTokens], maxTokens), MemoryDemand.of(LAYOUT, maxTokens));
        }
    }

    @Test
    void aLongPromptIsCutIntoWholeTilesAndARest() {
        Request request = add(300, 310);
        assertThat(counts(step())).containsExactly(128);
        assertThat(counts(step())).containsExactly(128);
        assertThat(counts(step())).containsExactly(44);
        assertThat(request.sequence().isDecoding()).isTrue();
        assertThat(request.sequence().computed()).isEqualTo(300);
    }

    @Test
    void promptsShareAStepButOnlyAChunkThatEndsAPromptIsUneven() {
        Request first = add(30, 40);
        Request second = add(150, 160);
        StepPlan<Request> plan = step();
        assertThat(plan.admitted()).containsExactly(first, second);
        // 98 tokens are left for the second, of which one tile is whole.
        assertThat(counts(plan)).containsExactly(30, 64);
        assertThat(plan.prefillTokens()).isEqualTo(94);
    }

    @Test
    void decodesRunBesidePromptChunksAndStandBehindThem() {
        Request decoding = add(10, 20);
        step();
        decoding.sequence().append(5);
        Request prompt = add(400, 410);
        StepPlan<Request> plan = step();
        assertThat(plan.shares()).extracting(StepPlan.Share::request).containsExactly(prompt, decoding);
        assertThat(plan.shares()).extracting(StepPlan.Share::decode).containsExactly(false, true);
        assertThat(counts(plan)).containsExactly(128, 1);
        assertThat(plan.decodes()).isEqualTo(1);
    }

    @Test
    void thePromptBudgetGoesToTheLongestRunning() {
        Request first = add(300, 310);
        Request second = add(300, 310);
        assertThat(step().shares()).extracting(StepPlan.Share::request).containsExactly(first);
        step();
        StepPlan<Request> third = step();
        assertThat(third.shares()).extracting(StepPlan.Share::request).containsExactly(first, second);
        assertThat(counts(third)).containsExactly(44, 64);
    }

    @Test
    void theBatchBoundsWhoRuns() {
        for (int i = 0; i < 6; i++) {
            add(8, 10);
        }
        assertThat(step().admitted()).hasSize(4);
        assertThat(scheduler.waiting()).hasSize(2);
    }

    @Test
    void aRequestThatDoesNotFitYetHoldsBackThoseBehindIt() {
        Request running = add(16, 60 * 16);
        Request large = add(16, 50 * 16);
        Request small = add(16, 16);
        assertThat(step().admitted()).containsExactly(running);
        assertThat(step().admitted()).isEmpty();
        finish(running);
        assertThat(step().admitted()).containsExactly(large, small);
    }

    @Test
    void aRemovedRequestIsGoneFromEitherQueue() {
        Request running = add(8, 10);
        step();
        Request waiting = add(8, 10);
        assertThat(scheduler.remove(waiting)).isTrue();
        assertThat(scheduler.remove(running)).isTrue();
        assertThat(scheduler.remove(running)).isFalse();
        running.sequence().cache().close();
        assertThat(scheduler.plan(PrefixSource.none()).isEmpty()).isTrue();
        cache.checkIntegrity();
    }

    @Test
    void anIdleEngineThatCannotAdmitIsAnError() {
        add(8, 101 * 16);
        assertThatThrownBy(() -> scheduler.plan(PrefixSource.none()))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("an idle engine cannot admit")
                .hasMessageContaining("hostBlocks=101");
    }

    @Test
    void aChunkThatBeginsWithinATileEndsWithIt() {
        Request request = add(300, 310);
        scheduler.plan(PrefixSource.none());
        request.sequence().advance(40);
        assertThat(counts(step())).containsExactly(88);
        assertThat(counts(step())).containsExactly(128);
        assertThat(counts(step())).containsExactly(44);
    }

    private Request add(int promptTokens, int maxTokens) {
        Request request = Request.of(promptTokens, maxTokens);
        scheduler.add(request);
        return request;
    }

    private StepPlan<Request> step() {
        StepPlan<Request> plan = scheduler.plan(PrefixSource.none());
        scheduler.complete(plan);
        for (StepPlan.Share<Request> share : plan.shares()) {
            if (share.sequence().remaining() == 0) {
                share.sequence().append(7);
            }
        }
        cache.checkIntegrity();
        return plan;
    }

    private void finish(Request request) {
        scheduler.remove(request);
        request.sequence().cache().close();
    }

    private static List<Integer> counts(StepPlan<Request> plan) {
        return plan.shares().stream().map(StepPlan.Share::count).toList();
    }
}
