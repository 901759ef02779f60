package dev.nosa.backend.cpu;

import dev.nosa.backend.AttentionShape;
import dev.nosa.backend.BatchInputs;

/** Rotary embedding in the half-rotation layout; cos and sin of a batch are computed once for all layers. */
final class Rotary {
    private final AttentionShape shape;
    private final int half;
    private BatchInputs batch;
    private float[] cos = new float[0];
    private float[] sin = new float[0];

    Rotary(AttentionShape shape) {
        this.shape = shape;
        half = shape.headDim() / 2;
    }

    /** Computes the angles of a batch that it has not just seen. */
    void prepare(BatchInputs next) {
        if (next == batch) {
            return;
        }
        int size = next.tokens().length * half;
        if (cos.length < size) {
            cos = new float[size];
            sin = new float[size];
        }
        for (BatchInputs.Slice slice : next.slices()) {
            for (int i = 0; i < slice.count(); i++) {
                angles(slice.start() + i, (slice.firstRow() + i) * half);
            }
        }
        batch = next;
    }

    /** The angle is rounded to F32, as checkpoints were trained with it. */
    private void angles(int position, int at) {
        for (int i = 0; i < half; i++) {
            float angle = position * shape.inverseFrequencies()[i];
            cos[at + i] = (float) Math.cos(angle) * shape.ropeScale();
            sin[at + i] = (float) Math.sin(angle) * shape.ropeScale();
        }
    }

    /** Rotates the head at {@code data[at, at + D)} by the angles of tensor row {@code row}. */
    void rotate(int row, float[] data, int at) {
        int angle = row * half;
        for (int i = 0; i < half; i++) {
            float c = cos[angle + i];
            float s = sin[angle + i];
            float first = data[at + i];
            float second = data[at + half + i];
            data[at + i] = first * c - second * s;
            data[at + half + i] = second * c + first * s;
        }
    }
}
