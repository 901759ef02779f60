package dev.nosa.checkpoint;

import java.util.Objects;

/** A tensor of a mapped file. */
final class SafetensorsTensor implements CheckpointTensor {
    private final SafetensorsFile file;
    private final TensorEntry entry;

    SafetensorsTensor(SafetensorsFile file, TensorEntry entry) {
        this.file = file;
        this.entry = entry;
    }

    @Override
    public String name() {
        return entry.name();
    }

    @Override
    public String file() {
        return file.path().toString();
    }

    @Override
    public String dtype() {
        return entry.dtype().name();
    }

    @Override
    public long[] shape() {
        return entry.shape().stream().mapToLong(Long::longValue).toArray();
    }

    @Override
    public long elements() {
        return entry.elements();
    }

    @Override
    public void read(long offset, float[] target, int targetOffset, int count) {
        Objects.checkFromIndexSize(offset, count, elements());
        Objects.checkFromIndexSize(targetOffset, count, target.length);
        file.read(entry.dtype(), entry.begin() + offset * entry.dtype().bytes(), target, targetOffset, count);
        for (int i = 0; i < count; i++) {
            if (!Float.isFinite(target[targetOffset + i])) {
                throw new CheckpointException(file.path() + ": tensor " + name() + ": element " + (offset + i) + " is "
                        + target[targetOffset + i] + "; weights must be finite");
            }
        }
    }
}
