package dev.nosa.backend;

/** A weight matrix (out, in) or vector (1, n) in a backend's own memory. Freed by the backend's close. */
public interface Weight {
    int rows();

    int cols();
}
