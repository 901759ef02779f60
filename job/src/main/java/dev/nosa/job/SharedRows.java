package dev.nosa.job;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.storage.StorageLevel;

/**
 * Rows of waves, read from the input for several waves at once and kept on the executors' disks until those are done: to find a
 * wave's rows is to read the whole input. Of n waves the square root of n share their rows, so that the input is read that many
 * times, and about such a part of it is kept. Safe from any thread.
 */
final class SharedRows<T> implements AutoCloseable {
    private final Map<T, Group<T>> groupOf = new HashMap<>();
    private final Function<List<T>, Dataset<Row>> read;

    private static final class Group<T> {
        final List<T> waves;
        final List<T> left;
        Dataset<Row> kept;

        Group(List<T> waves) {
            this.waves = waves;
            left = new ArrayList<>(waves);
        }

        synchronized Dataset<Row> rows(Function<List<T>, Dataset<Row>> read) {
            if (kept == null) {
                kept = read.apply(waves).persist(StorageLevel.DISK_ONLY());
            }
            return kept;
        }

        synchronized void done(T wave) {
            left.remove(wave);
            if (left.isEmpty()) {
                release();
            }
        }

        synchronized void release() {
            if (kept != null) {
                kept.unpersist();
                kept = null;
            }
        }
    }

    /**
     * Reads nothing yet.
     *
     * @param waves in the order in which they are run
     * @param read the rows of some of them that follow each other
     */
    SharedRows(List<T> waves, Function<List<T>, Dataset<Row>> read) {
        this.read = read;
        int size = (int) Math.ceil(Math.sqrt(waves.size()));
        for (int i = 0; i < waves.size(); i += size) {
            List<T> some = waves.subList(i, Math.min(i + size, waves.size()));
            Group<T> group = new Group<>(some);
            some.forEach(wave -> groupOf.put(wave, group));
        }
    }

    /** The rows of {@code wave} and of others. */
    Dataset<Row> rows(T wave) {
        return groupOf.get(wave).rows(read);
    }

    /** Says that {@code wave} needs its rows no longer. */
    void done(T wave) {
        groupOf.get(wave).done(wave);
    }

    @Override
    public void close() {
        groupOf.values().forEach(Group::release);
    }
}
