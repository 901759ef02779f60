package dev.nosa.job;

import java.util.ArrayList;
import java.util.List;

/**
 * How rows are cut into waves.
 *
 * @param first number of the first wave
 * @param ends of each wave, the bucket behind its last
 * @param documents of each wave
 */
record WavePlan(int first, List<Integer> ends, List<Long> documents) {
    WavePlan {
        ends = List.copyOf(ends);
        documents = List.copyOf(documents);
    }

    /** Rows of one bucket. */
    record Bucket(int number, long documents, long tokens) {}

    /**
     * Cuts where the sizes summed up pass the next multiple of a wave's share, so that waves are about equal.
     *
     * @param buckets rising by number
     * @param byTokens whether {@code size} is in tokens, or in documents
     */
    static WavePlan cut(int first, List<Bucket> buckets, long size, boolean byTokens) {
        long total =
                buckets.stream().mapToLong(bucket -> sizeOf(bucket, byTokens)).sum();
        long waves = Math.max(1, Math.min(buckets.size(), (total + size - 1) / size));
        List<Integer> ends = new ArrayList<>();
        List<Long> documents = new ArrayList<>();
        long sum = 0;
        long inWave = 0;
        for (Bucket bucket : buckets) {
            sum += sizeOf(bucket, byTokens);
            inWave += bucket.documents();
            if (ends.size() < waves - 1 && sum * waves >= total * (ends.size() + 1)) {
                ends.add(bucket.number() + 1);
                documents.add(inWave);
                inWave = 0;
            }
        }
        ends.add(Wave.BUCKETS);
        documents.add(inWave);
        return new WavePlan(first, ends, documents);
    }

    private static long sizeOf(Bucket bucket, boolean byTokens) {
        return byTokens ? bucket.tokens() : bucket.documents();
    }

    /** The waves of the run's plan number {@code plan}. */
    List<Wave> waves(int plan) {
        List<Wave> waves = new ArrayList<>();
        for (int i = 0; i < ends.size(); i++) {
            waves.add(new Wave(first + i, plan, i == 0 ? 0 : ends.get(i - 1), ends.get(i), documents.get(i)));
        }
        return waves;
    }

    int next() {
        return first + ends.size();
    }
}
