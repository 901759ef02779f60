package dev.nosa.checkpoint;

import java.util.List;

/**
 * One tensor of a safetensors header, checked.
 *
 * @param begin first byte, counted from the end of the header
 * @param end byte after the last
 */
record TensorEntry(String name, DType dtype, List<Long> shape, long begin, long end) {
    TensorEntry {
        shape = List.copyOf(shape);
    }

    long bytes() {
        return end - begin;
    }

    long elements() {
        return bytes() / dtype.bytes();
    }
}
