package dev.nosa.checkpoint;

import java.util.Arrays;
import java.util.Random;
import java.util.Set;

/**
 * A checkpoint of any shapes with random values, for measurements: matrices whose products keep the size of what they multiply,
 * vectors of ones. The same values every time. Safe from any thread.
 */
public final class RandomCheckpoint implements Checkpoint {
    private static final int PATTERN = 1 << 20;

    private final float[] pattern = new float[PATTERN];

    public RandomCheckpoint() {
        Random random = new Random(1);
        for (int i = 0; i < PATTERN; i++) {
            pattern[i] = (float) random.nextGaussian();
        }
    }

    @Override
    public Set<String> names() {
        return Set.of();
    }

    @Override
    public boolean has(String name) {
        return true;
    }

    @Override
    public CheckpointTensor tensor(String name, long... shape) {
        return new RandomTensor(name, shape);
    }

    @Override
    public void close() {}

    private final class RandomTensor implements CheckpointTensor {
        private final String name;
        private final long[] shape;

        RandomTensor(String name, long[] shape) {
            this.name = name;
            this.shape = shape;
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public String file() {
            return "random values";
        }

        @Override
        public String dtype() {
            return "BF16";
        }

        @Override
        public long[] shape() {
            return shape.clone();
        }

        @Override
        public long elements() {
            return Arrays.stream(shape).reduce(1, Math::multiplyExact);
        }

        @Override
        public void read(long offset, float[] target, int targetOffset, int count) {
            if (shape.length == 1) {
                Arrays.fill(target, targetOffset, targetOffset + count, 1f);
                return;
            }
            float scale = (float) (1 / Math.sqrt(shape[1]));
            long from = offset + name.hashCode();
            for (int i = 0; i < count; ) {
                int at = (int) Math.floorMod(from + i, (long) PATTERN);
                int length = Math.min(count - i, PATTERN - at);
                for (int n = 0; n < length; n++) {
                    target[targetOffset + i + n] = pattern[at + n] * scale;
                }
                i += length;
            }
        }
    }
}
