package dev.nosa.backend.cuda;

/**
 * Which pages of the device pool are free, and how many rows hold each of the others; the page freed last is taken first. Engine
 * thread.
 */
final class PagePool {
    private final int[] free;
    private final int[] holders;
    private int count;

    PagePool(int pages) {
        free = new int[pages];
        holders = new int[pages];
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
        holders[page] = 1;
        return page;
    }

    /** One more row holds the page. */
    void retain(int page) {
        requireHeld(page);
        holders[page]++;
    }

    boolean isShared(int page) {
        return holders[page] > 1;
    }

    /** One row less holds the page; behind the last it is free. */
    void release(int page) {
        requireHeld(page);
        if (--holders[page] == 0) {
            free[count++] = page;
        }
    }

    private void requireHeld(int page) {
        if (holders[page] == 0) {
            throw new IllegalStateException("page " + page + " of the device tier is not held");
        }
    }
}
