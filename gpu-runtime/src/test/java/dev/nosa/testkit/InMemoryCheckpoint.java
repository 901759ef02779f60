package dev.nosa.testkit;

import dev.nosa.checkpoint.Checkpoint;
import dev.nosa.checkpoint.CheckpointException;
import dev.nosa.checkpoint.CheckpointTensor;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;

/** Weights behind the interface of a checkpoint folder. */
public record InMemoryCheckpoint(Map<String, Weight> weights, String dtype) implements Checkpoint {
    @Override
    public Set<String> names() {
        return weights.keySet();
    }

    @Override
    public boolean has(String name) {
        return weights.containsKey(name);
    }

    @Override
    public CheckpointTensor tensor(String name, long... shape) {
        Weight weight = weights.get(name);
        if (weight == null || !Arrays.equals(weight.shape(), shape)) {
            throw new CheckpointException(name + ": not there with shape " + Arrays.toString(shape));
        }
        return new InMemoryTensor(name, dtype, weight);
    }

    @Override
    public void close() {}

    private record InMemoryTensor(String name, String dtype, Weight weight) implements CheckpointTensor {
        @Override
        public String file() {
            return "memory";
        }

        @Override
        public long[] shape() {
            return weight.shape().clone();
        }

        @Override
        public long elements() {
            return weight.values().length;
        }

        @Override
        public void read(long offset, float[] target, int targetOffset, int count) {
            System.arraycopy(weight.values(), Math.toIntExact(offset), target, targetOffset, count);
        }
    }
}
