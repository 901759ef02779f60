package dev.nosa.backend.cuda;

import java.util.BitSet;

/** Which pages of the device pool are free; the page freed last is taken first. Engine thread. */
final class PagePool {
    private final int[] free;
    private final BitSet held;
    private int count;

    PagePool(int pages) {
        free = new int[pages];
        held = new BitSet(pages);
        for (int page = pages - 1; page >= 0; page--) {
            free[count++] = page;
        }
    }

    int free() {
        return count;
    }

    int total() {
        return free.length;
    }

    int allocate() {
        if (count == 0) {
            throw new IllegalStateException("all " + free.length + " pages of the device tier are held");
        }
        int page = free[--count];
        held.set(page);
        return page;
    }

    void release(int page) {
        if (!held.get(page)) {
            throw new IllegalStateException("page " + page + " of the device tier is not held");
        }
        held.clear(page);
        free[count++] = page;
    }
}
