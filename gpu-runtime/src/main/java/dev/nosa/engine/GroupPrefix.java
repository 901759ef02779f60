package dev.nosa.engine;

import dev.nosa.cache.KvLayout;
import dev.nosa.cache.MemoryDemand;
import dev.nosa.schedule.AdmissionControl;
import dev.nosa.schedule.Sequence;
import java.util.Arrays;
import java.util.List;

/**
 * What the prompts of a group have computed together.
 *
 * @param head tokens that prompts of other groups begin with too; 0 for none
 * @param shared tokens that all of the group begin with, the head included; no more than {@code head} where the group needs
 *     no prefix of its own
 */
record GroupPrefix(int head, int shared) {
    private static final GroupPrefix NONE = new GroupPrefix(0, 0);

    /**
     * As much as is worth it: a fork costs about what a block costs. Less if the prefix and one of the prompts do not fit
     * into the memory together; the prompts themselves do.
     */
    static GroupPrefix of(List<ActiveRequest> requests, int headTokens, AdmissionControl admission) {
        List<Sequence> prompts = requests.stream().map(ActiveRequest::prompt).toList();
        int block = admission.layout().sparse().blockSize();
        int common = common(prompts);
        int head = Math.min(headTokens, common) < block ? 0 : Math.min(headTokens, common);
        int shared = prompts.size() > 1 && common - head >= block ? common : head;
        List<GroupPrefix> choices =
                List.of(new GroupPrefix(head, shared), new GroupPrefix(0, shared == head ? 0 : shared));
        return choices.stream()
                .filter(choice -> prompts.stream().allMatch(prompt -> choice.fits(prompt.maxTokens(), admission)))
                .findFirst()
                .orElse(NONE);
    }

    /** Lets the requests, whose prompts begin alike, continue it. */
    void share(List<? extends ActiveRequest> requests, KvLayout layout) {
        if (shared == head) {
            requests.forEach(request -> request.startsWithHead(head));
            return;
        }
        SharedPrefix prefix =
                new SharedPrefix(Arrays.copyOf(requests.get(0).prompt().history(), shared), layout);
        prefix.startsWithHead(head);
        requests.forEach(request -> request.continues(prefix));
    }

    /** Tokens that all prompts begin with, short of the last of each, which a prompt computes for its logits. */
    private static int common(List<Sequence> prompts) {
        int[] first = prompts.get(0).history();
        int common = prompts.get(0).length() - 1;
        for (Sequence prompt : prompts) {
            int differs = Arrays.mismatch(first, 0, common, prompt.history(), 0, Math.min(common, prompt.length() - 1));
            common = differs < 0 ? common : differs;
        }
        return common;
    }

    /**
     * A GPU has pages beyond the slots for one long prompt, so that what follows a fork is computed at a prompt's speed only if it
     * or what it continues has a slot for each of its blocks.
     */
    private boolean isFast(int maxTokens, KvLayout layout) {
        int own = maxTokens
                - shared / layout.sparse().blockSize() * layout.sparse().blockSize();
        return !layout.paged()
                || !layout.offloads(Math.max(1, head))
                        && (!layout.offloads(Math.max(1, shared)) || !layout.offloads(own));
    }

    private boolean fits(int maxTokens, AdmissionControl admission) {
        KvLayout layout = admission.layout();
        MemoryDemand demand = MemoryDemand.ofFork(layout, shared, maxTokens);
        demand = head > 0 ? demand.plus(MemoryDemand.of(layout, head)) : demand;
        demand = shared > head ? demand.plus(MemoryDemand.ofFork(layout, head, shared)) : demand;
        return admission.refuseMemory(demand).isEmpty()
                && isFast(maxTokens, layout)
                && demand.rows() <= admission.budget().rows();
    }
}
