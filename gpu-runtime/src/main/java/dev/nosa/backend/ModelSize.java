package dev.nosa.backend;

/**
 * How much memory a model takes beside its KV cache.
 *
 * @param weights values of all matrices and vectors
 * @param residual values of a token in {@link Backend#residual} tensors of a step
 * @param activations values of a token in {@link Backend#activation} tensors of a step
 * @param hidden width of the residual stream
 * @param intermediate width of the SwiGLU
 * @param vocab logits of a row
 */
public record ModelSize(long weights, long residual, long activations, int hidden, int intermediate, int vocab) {}
