package dev.nosa.schedule;

import dev.nosa.cache.DeviceMemory;
import dev.nosa.cache.KvLayout;
import dev.nosa.cache.MemoryBudget;
import dev.nosa.sparse.WindowMath;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How the memory of a GPU and its host is shared out. First as many of the longest sequences as both tiers hold, each with the
 * fewest slots; then slots from what is left, since every block that stays is a transfer saved.
 *
 * @param layout with the slots that were chosen
 * @param budget what requests share
 * @param maxBatch requests that run at once
 * @param pages of the device tier: the budget's, and those that a prompt needs beyond its slots while it is computed
 */
public record DevicePlan(KvLayout layout, MemoryBudget budget, int maxBatch, int pages) {
    private static final Logger log = LoggerFactory.getLogger(DevicePlan.class);

    private static final int MOST_SEQUENCES = 256;

    /**
     * What is asked for; 0 is automatic.
     *
     * @param maxContext longest sequence, in tokens
     * @param maxBatch requests that run at once; 0: as many of the longest as fit, at most 256
     * @param maxStepTokens prompt tokens of a step
     * @param slots blocks of a sequence, layer and KV head; 0: what is left
     * @param hostBytes of the host tier; 0: what the host has
     * @param deviceBytes of the KV pages; 0: what the device has
     */
    public record Wishes(
            int maxContext, int maxBatch, int maxStepTokens, int slots, long hostBytes, long deviceBytes) {}

    /**
     * Makes the plan, and logs it.
     *
     * @param least the layout with the fewest slots
     * @throws IllegalArgumentException if not even one sequence of the longest fits; the message says how many bytes are
     *     missing, and which option to change
     */
    public static DevicePlan of(KvLayout least, DeviceMemory memory, Wishes wishes) {
        long page = least.hostBlockBytes();
        int blocks = WindowMath.blocks(wishes.maxContext(), least.sparse());
        int statePages = least.statePages(wishes.maxContext());
        KvLayout asked = wishes.slots() > 0 ? least.withSlots(Math.max(wishes.slots(), least.slots())) : least;
        int fewest = asked.slotsFor(wishes.maxContext());
        // A prompt has all its blocks; behind it in the same step the next one may begin.
        int prompt = blocks - fewest + wishes.maxStepTokens() / least.sparse().blockSize() + 1;
        boolean offload = fewest < blocks;
        long host = wishes.hostBytes() > 0 ? wishes.hostBytes() : memory.hostFree();
        host = offload ? host : Long.MAX_VALUE; // nothing is kept there
        requireHost(host, blocks * page, wishes.maxContext());
        long device = wishes.deviceBytes() > 0
                ? Math.min(wishes.deviceBytes(), memory.free() - memory.fixed())
                : memory.free() - memory.fixed();
        long one = (fewest + statePages + prompt) * page + memory.perSequence();
        if (device < one) {
            throw new IllegalArgumentException("the GPU has " + memory.free()
                    + " bytes free, weights and workspace take "
                    + memory.fixed() + ", and one sequence of " + wishes.maxContext() + " tokens takes " + one + ": "
                    + (one - device) + " bytes are missing; lower --max-context or --max-step-tokens"
                    + (wishes.deviceBytes() > 0 ? ", or raise --device-kv" : ""));
        }
        long left = device - prompt * page;
        long each = (fewest + statePages) * page + memory.perSequence();
        long fits = Math.min(left / each, host / (blocks * page));
        int batch = wishes.maxBatch() > 0 ? wishes.maxBatch() : (int) Math.max(1, Math.min(fits, MOST_SEQUENCES));
        long kvPages = (left - batch * memory.perSequence()) / page;
        if (kvPages < fewest + statePages) {
            throw new IllegalArgumentException("max-batch = " + batch + ": the scratch of so many sequences takes "
                    + batch * memory.perSequence() + " of " + left + " bytes, which leaves no room for one of "
                    + wishes.maxContext() + " tokens; lower --max-batch");
        }
        int slots = fewest;
        if (wishes.slots() == 0) {
            slots = (int) Math.max(fewest, Math.min(kvPages / batch - statePages, blocks));
        }
        // With slots for all blocks after all there is no host tier either; its blocks are but numbers then.
        int hostBlocks = (int) Math.min(Math.min(host / page, batch * (blocks + 1L)), Integer.MAX_VALUE);
        MemoryBudget budget = new MemoryBudget(Math.multiplyExact(2, batch), hostBlocks, kvPages * page);
        KvLayout chosen = least.withSlots(Math.max(slots, least.slots()));
        DevicePlan plan = new DevicePlan(chosen, budget, batch, Math.toIntExact(kvPages + prompt));
        plan.log(memory, wishes, fits);
        return plan;
    }

    private static void requireHost(long host, long needed, int maxContext) {
        if (host < needed) {
            throw new IllegalArgumentException(
                    "host-kv = " + host + ": one sequence of " + maxContext + " tokens takes " + needed + " bytes, "
                            + (needed - host) + " are missing; raise --host-kv or lower --max-context");
        }
    }

    private void log(DeviceMemory memory, Wishes wishes, long fits) {
        boolean offload = layout.offloads(wishes.maxContext());
        long hostMebibytes = offload ? budget.hostBlocks() * layout.hostBlockBytes() >> 20 : 0;
        log.info(
                "GPU plan: {} MiB free, {} MiB for weights and workspace, {} MiB in {} pages of {} bytes; {} slots a head;"
                        + " host tier {} MiB in {} blocks; up to {} requests at once, {} of the longest ({} tokens)",
                memory.free() >> 20,
                memory.fixed() >> 20,
                pages * layout.hostBlockBytes() >> 20,
                pages,
                layout.hostBlockBytes(),
                layout.slotsFor(wishes.maxContext()),
                hostMebibytes,
                budget.hostBlocks(),
                maxBatch,
                Math.min(fits, maxBatch),
                wishes.maxContext());
    }
}
