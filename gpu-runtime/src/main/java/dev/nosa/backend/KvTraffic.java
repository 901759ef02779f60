package dev.nosa.backend;

/**
 * Blocks and bytes between the two KV tiers, summed over layers and KV heads.
 *
 * @param selected blocks attended in decode steps
 * @param missed of those, blocks that had to be copied from the host tier (the turnover, times layers and heads)
 * @param bytesFetched bytes copied from the host tier, prefill workspace included
 * @param bytesWritten bytes of finished blocks written to the host tier
 */
public record KvTraffic(long selected, long missed, long bytesFetched, long bytesWritten) {
    public static final KvTraffic NONE = new KvTraffic(0, 0, 0, 0);

    /** Selected blocks that were resident, or are the tail. */
    public long hit() {
        return selected - missed;
    }

    public KvTraffic plus(KvTraffic other) {
        return new KvTraffic(
                selected + other.selected,
                missed + other.missed,
                bytesFetched + other.bytesFetched,
                bytesWritten + other.bytesWritten);
    }
}
