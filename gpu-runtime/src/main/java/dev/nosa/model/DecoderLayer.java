package dev.nosa.model;

import dev.nosa.backend.Backend;
import dev.nosa.backend.BatchInputs;
import dev.nosa.backend.ImportanceWeights;
import dev.nosa.backend.Weight;

/**
 * One layer: attention and SwiGLU, each behind an RMSNorm and added to the residual stream.
 *
 * @param qkv q, k and v projections stacked
 * @param qkvBias null where the checkpoint has none
 * @param importance null in modes without importance
 * @param gateUp gate and up projections stacked
 */
record DecoderLayer(
        Weight inputNorm,
        Weight qkv,
        Weight qkvBias,
        ImportanceWeights importance,
        Weight output,
        Weight outputBias,
        Weight postNorm,
        Weight gateUp,
        Weight down) {

    /** Up to the attention, whose blocks may arrive while other parts of the batch are computed. */
    void begin(int index, float eps, Backend backend, BatchInputs batch, LlamaModel.Activations at) {
        backend.rmsNorm(at.hidden(), inputNorm, eps, at.normed());
        backend.linear(at.normed(), qkv, qkvBias, batch, at.qkv());
        backend.attention(index, at.qkv(), importance, batch, at.attended());
    }

    /** The rest. */
    void finish(int index, float eps, Backend backend, BatchInputs batch, LlamaModel.Activations at) {
        backend.finishAttention(index, batch, at.attended());
        backend.addLinear(at.attended(), output, outputBias, batch, at.hidden());

        backend.rmsNorm(at.hidden(), postNorm, eps, at.normed());
        backend.linear(at.normed(), gateUp, null, batch, at.gateUp());
        backend.siluMul(at.gateUp(), at.activated());
        backend.addLinear(at.activated(), down, null, batch, at.hidden());
    }
}
