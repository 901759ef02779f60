package dev.nosa.engine;

import dev.nosa.cache.KvLayout;
import dev.nosa.schedule.PrefixSource;
import dev.nosa.schedule.Scheduler;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The prefixes that requests continue. One that a group shares is closed with the last of the group. Heads, which
 * requests of other groups begin with too, are kept by their tokens until somebody else needs their memory. Owned by
 * the engine thread.
 */
final class SharedPrefixes implements PrefixSource<ActiveRequest> {
    private final Scheduler<ActiveRequest> scheduler;
    private final KvLayout layout;
    private final SequenceMemory memory;
    /** Waiting, running or computed; the one that was asked for last is the last. */
    private final Map<IntBuffer, SharedPrefix> heads = new LinkedHashMap<>();

    SharedPrefixes(Scheduler<ActiveRequest> scheduler, KvLayout layout, SequenceMemory memory) {
        this.scheduler = scheduler;
        this.layout = layout;
        this.memory = memory;
    }

    /** Queues a request, and before it the prefix of its group if it is the first. */
    void add(ActiveRequest request) {
        if (request.prefix() != null && request.prefix().enter()) {
            scheduler.add(request.prefix());
        }
        scheduler.add(request);
    }

    @Override
    public Optional<ActiveRequest> missing(ActiveRequest request) {
        if (request.headTokens() == 0 || request.prefix() != null) {
            return Optional.empty();
        }
        int[] tokens = Arrays.copyOf(request.prompt().history(), request.headTokens());
        SharedPrefix head = heads.remove(IntBuffer.wrap(tokens));
        boolean missing = head == null;
        head = missing ? new SharedPrefix(tokens, layout) : head;
        heads.put(IntBuffer.wrap(tokens), head);
        if (!missing) {
            request.continues(head);
        }
        return missing ? Optional.of(head) : Optional.empty();
    }

    @Override
    public boolean evict() {
        Iterator<SharedPrefix> each = heads.values().iterator();
        while (each.hasNext()) {
            SharedPrefix head = each.next();
            if (head.isComputed() && !head.isUsed()) {
                head.closeAll(memory);
                each.remove();
                return true;
            }
        }
        return false;
    }

    /** Gives back the memory of a request that has left the scheduler, and of a prefix that it was the last to need. */
    void close(ActiveRequest request) {
        request.closeAll(memory);
        SharedPrefix prefix = request.prefix();
        if (prefix != null && !prefix.removeUser() && !heads.containsValue(prefix)) {
            scheduler.remove(prefix);
            close(prefix);
        }
    }

    /** Gives all heads' memory back. */
    void closeHeads() {
        heads.values().forEach(head -> head.closeAll(memory));
        heads.clear();
    }
}
