package dev.nosa.backend.cpu;

import dev.nosa.backend.KvStore;
import dev.nosa.cache.KvLayout;

/** The device tier's rows and the host tier behind them, both in the machine's memory. */
final class CpuKvStore implements KvStore, AutoCloseable {
    private final KvLayout layout;
    private final HostTier host;
    private final HeadCache[][] rows;

    CpuKvStore(KvLayout layout, int hostBlocks, int maxRows) {
        this.layout = layout;
        host = new HostTier(layout, hostBlocks);
        rows = new HeadCache[maxRows][];
    }

    KvLayout layout() {
        return layout;
    }

    HostTier host() {
        return host;
    }

    HeadCache head(int row, int layer, int head) {
        if (rows[row] == null) {
            throw new IllegalStateException("row " + row + " is not open");
        }
        return rows[row][layer * layout.kvHeads() + head];
    }

    @Override
    public void open(int row, int maxTokens) {
        if (rows[row] != null) {
            throw new IllegalStateException("row " + row + " is open already");
        }
        HeadCache[] heads = new HeadCache[layout.layers() * layout.kvHeads()];
        rows[row] = heads;
        for (int i = 0; i < heads.length; i++) {
            heads[i] = new HeadCache(layout, maxTokens);
        }
    }

    @Override
    public void fork(int parent, int child, int length, int maxTokens) {
        open(child, maxTokens);
        for (int i = 0; i < rows[child].length; i++) {
            rows[child][i].forkFrom(rows[parent][i], length);
        }
    }

    @Override
    public void release(int row) {
        HeadCache[] heads = rows[row];
        rows[row] = null;
        for (HeadCache head : heads) {
            if (head != null) { // open may have run out of memory half way
                head.close();
            }
        }
    }

    @Override
    public void close() {
        for (int row = 0; row < rows.length; row++) {
            if (rows[row] != null) {
                release(row);
            }
        }
        host.close();
    }
}
