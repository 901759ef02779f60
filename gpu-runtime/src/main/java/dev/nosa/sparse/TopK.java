package dev.nosa.sparse;

/** The largest of some scores, the lowest index first among equals. */
final class TopK {
    private TopK() {}

    /** A key that orders by score, then by falling index; all keys of one selection differ. */
    static long key(float score, int index) {
        int bits = Float.floatToIntBits(score + 0.0f); // -0 ties with 0
        int ordered = bits ^ ((bits >> 31) & 0x7fffffff);
        return ((long) ordered << 32) | (0xffffffffL & ~index);
    }

    static int index(long key) {
        return ~(int) key;
    }

    /** Moves the {@code count} largest of {@code keys[0, size)} to the front, in no order. */
    static void partition(long[] keys, int size, int count) {
        int from = 0;
        int to = size - 1;
        while (from < to) {
            long pivot = keys[(from + to) >>> 1];
            int i = from;
            int j = to;
            while (i <= j) {
                while (keys[i] > pivot) {
                    i++;
                }
                while (keys[j] < pivot) {
                    j--;
                }
                if (i <= j) {
                    long swapped = keys[i];
                    keys[i++] = keys[j];
                    keys[j--] = swapped;
                }
            }
            if (count - 1 <= j) {
                to = j;
            } else if (count - 1 >= i) {
                from = i;
            } else {
                return;
            }
        }
    }
}
