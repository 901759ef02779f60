package dev.nosa.tensor;

/** A row-major matrix of activations on a backend's device; a batch's tokens are its rows. */
public interface Tensor {
    int rows();

    int cols();
}
