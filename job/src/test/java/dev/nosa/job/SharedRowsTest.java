package dev.nosa.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.lit;
import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.storage.StorageLevel;
import org.junit.jupiter.api.Test;

class SharedRowsTest extends JobFixture {
    private static Dataset<Row> documents() {
        return spark.range(200).select(concat(lit("d"), col("id")).as(DocumentIds.COLUMN));
    }

    private static List<Wave> waves(int count) {
        int buckets = Wave.BUCKETS / count;
        return IntStream.range(0, count)
                .mapToObj(i -> new Wave(i, 0, i * buckets, i + 1 == count ? Wave.BUCKETS : (i + 1) * buckets, 1))
                .toList();
    }

    @Test
    void wavesThatFollowEachOtherShareRowsUntilAllAreDone() {
        List<List<Integer>> read = new ArrayList<>();
        List<Integer> waves = List.of(0, 1, 2, 3, 4, 5, 6);
        try (SharedRows<Integer> shared = new SharedRows<>(waves, some -> {
            read.add(some);
            return documents();
        })) {
            assertThat(read).isEmpty();
            Dataset<Row> first = shared.rows(0);
            shared.done(0);
            assertThat(shared.rows(1)).isSameAs(first);
            assertThat(shared.rows(2)).isSameAs(first);
            shared.done(1);
            assertThat(first.storageLevel()).isEqualTo(StorageLevel.DISK_ONLY());
            shared.done(2);
            assertThat(first.storageLevel()).isEqualTo(StorageLevel.NONE());
            assertThat(shared.rows(3)).isNotSameAs(first);
            assertThat(read).containsExactly(List.of(0, 1, 2), List.of(3, 4, 5));
        }
    }

    @Test
    void nothingIsKeptWhenTheRunHasFailed() {
        Dataset<Row> kept;
        try (SharedRows<Integer> shared = new SharedRows<>(List.of(1, 2), some -> documents())) {
            kept = shared.rows(1);
        }
        assertThat(kept.storageLevel()).isEqualTo(StorageLevel.NONE());
    }

    @Test
    void theRowsOfSeveralWavesAreThoseOfEachOfThem() {
        List<Wave> all = waves(9);
        assertThat(documents().filter(Wave.holds(all)).count()).isEqualTo(200);
        List<Wave> some = List.of(all.get(0), all.get(1), all.get(4), all.get(7), all.get(8));
        List<Row> each = some.stream()
                .flatMap(wave -> documents().filter(wave.holds()).collectAsList().stream())
                .toList();
        assertThat(each).isNotEmpty().hasSizeLessThan(200);
        assertThat(documents().filter(Wave.holds(some)).collectAsList()).containsExactlyInAnyOrderElementsOf(each);
    }
}
