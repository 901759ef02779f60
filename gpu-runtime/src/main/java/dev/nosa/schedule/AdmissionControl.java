package dev.nosa.schedule;

import dev.nosa.cache.KvLayout;
import dev.nosa.cache.MemoryBudget;
import dev.nosa.cache.MemoryDemand;
import java.util.Optional;

/**
 * Which requests can never run, and why. Safe from any thread.
 *
 * @param maxContext longest sequence, prompt and output, in tokens
 */
public record AdmissionControl(KvLayout layout, MemoryBudget budget, int maxContext) {

    /** Why a sequence of {@code tokens} tokens cannot be: longer than the context. */
    public Optional<String> refuseLength(long tokens) {
        return tokens <= maxContext
                ? Optional.empty()
                : Optional.of("needs " + tokens + " tokens of context, there are " + maxContext
                        + ": shorten it or raise --max-context (at most the model's length)");
    }

    /** Why {@code demand} does not fit even into an idle engine. */
    public Optional<String> refuseMemory(MemoryDemand demand) {
        if (demand.hostBlocks() > budget.hostBlocks()) {
            return Optional.of(tooBig("host KV", hostBytes(demand.hostBlocks()), hostBytes(budget.hostBlocks())) + " ("
                    + demand.hostBlocks() + " blocks of " + budget.hostBlocks() + "): raise --host-kv");
        }
        if (demand.deviceBytes() > budget.deviceBytes()) {
            return Optional.of(tooBig("device KV", demand.deviceBytes(), budget.deviceBytes())
                    + ": raise --device-kv or lower --slots");
        }
        return Optional.empty();
    }

    private long hostBytes(int blocks) {
        return Math.multiplyExact(blocks, layout.hostBlockBytes());
    }

    private static String tooBig(String what, long needed, long there) {
        return "needs " + needed + " bytes of " + what + ", there are " + there;
    }
}
