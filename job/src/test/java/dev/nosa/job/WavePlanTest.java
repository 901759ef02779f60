package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import dev.nosa.job.WavePlan.Bucket;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class WavePlanTest {
    private static List<Bucket> buckets(int count, long seed) {
        Random random = new Random(seed);
        return IntStream.range(0, count)
                .mapToObj(i -> new Bucket(i * (Wave.BUCKETS / count), 1, 500 + random.nextInt(1000)))
                .toList();
    }

    @Test
    void wavesAreAboutEqualAndCoverEveryBucket() {
        List<Bucket> buckets = buckets(1000, 3);
        List<Wave> waves = WavePlan.cut(7, buckets, 100_000, true).waves(2);
        long total = buckets.stream().mapToLong(Bucket::tokens).sum();
        assertThat(waves).hasSize((int) ((total + 99_999) / 100_000));
        long share = total / waves.size();
        int from = 0;
        for (Wave wave : waves) {
            assertThat(wave.from()).isEqualTo(from);
            from = wave.to();
            long tokens = buckets.stream()
                    .filter(bucket -> bucket.number() >= wave.from() && bucket.number() < wave.to())
                    .mapToLong(Bucket::tokens)
                    .sum();
            assertThat(tokens).isBetween(share - 1500, share + 1500);
            assertThat(wave.plan()).isEqualTo(2);
        }
        assertThat(from).isEqualTo(Wave.BUCKETS);
        assertThat(waves.get(0).number()).isEqualTo(7);
        assertThat(waves.stream().mapToLong(Wave::documents).sum()).isEqualTo(1000);
    }

    @Test
    void documentsMayBeTheMeasure() {
        WavePlan plan = WavePlan.cut(0, buckets(64, 1), 10, false);
        assertThat(plan.documents())
                .hasSize(7)
                .allSatisfy(count -> assertThat(count).isBetween(9L, 10L));
        assertThat(plan.next()).isEqualTo(7);
    }

    @Test
    void nothingToDoIsOneEmptyWave() {
        WavePlan plan = WavePlan.cut(3, List.of(), 10, true);
        assertThat(plan.waves(0)).containsExactly(new Wave(3, 0, 0, Wave.BUCKETS, 0));
    }

    @Test
    void aBucketIsNeverCut() {
        WavePlan plan = WavePlan.cut(0, List.of(new Bucket(5, 100, 1), new Bucket(9, 1, 1)), 10, false);
        assertThat(plan.documents()).containsExactly(100L, 1L);
    }
}
