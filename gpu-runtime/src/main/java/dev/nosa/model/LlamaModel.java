package dev.nosa.model;

import dev.nosa.backend.Backend;
import dev.nosa.backend.BatchInputs;
import dev.nosa.backend.ModelSize;
import dev.nosa.backend.Weight;
import dev.nosa.tensor.Tensor;
import java.util.List;

/** The decoder, written once for all backends: embedding, layers, final norm. Engine thread only. */
public final class LlamaModel {
    private final ModelConfig config;
    private final Backend backend;
    private final Weight embedding;
    private final List<DecoderLayer> layers;
    private final Weight norm;
    private final Weight head;

    LlamaModel(
            ModelConfig config,
            Backend backend,
            Weight embedding,
            List<DecoderLayer> layers,
            Weight norm,
            Weight head) {
        this.config = config;
        this.backend = backend;
        this.embedding = embedding;
        this.layers = List.copyOf(layers);
        this.norm = norm;
        this.head = head;
    }

    /** What a model takes beside its KV cache. */
    public static ModelSize size(ModelConfig config) {
        int attended = config.heads() * config.headDim();
        int qkv = attended + 2 * config.kvHeads() * config.headDim();
        long activations = config.hidden() + qkv + attended + 3L * config.intermediate();
        return new ModelSize(
                config.parameters(),
                config.hidden(),
                activations,
                config.hidden(),
                config.intermediate(),
                config.vocabSize());
    }

    /** The normed hidden state of every token of the batch; the KV cache grows by them. */
    public Tensor forward(BatchInputs batch) {
        List<BatchInputs> parts = backend.parts(batch);
        List<Activations> all = parts.stream()
                .map(part -> new Activations(backend, config, part.tokens().length))
                .toList();
        float eps = config.rmsNormEps();
        for (int p = 0; p < parts.size(); p++) {
            backend.embed(embedding, parts.get(p), all.get(p).hidden());
            layers.get(0).begin(0, eps, backend, parts.get(p), all.get(p));
        }
        for (int i = 0; i < layers.size(); i++) {
            for (int p = 0; p < parts.size(); p++) {
                layers.get(i).finish(i, eps, backend, parts.get(p), all.get(p));
                if (i + 1 < layers.size()) {
                    layers.get(i + 1).begin(i + 1, eps, backend, parts.get(p), all.get(p));
                }
            }
        }
        for (Activations at : all) {
            backend.rmsNorm(at.hidden(), norm, eps, at.normed());
        }
        return backend.join(all.stream().map(Activations::normed).toList());
    }

    /** Logits of some rows of {@link #forward}'s result. */
    public Tensor logits(Tensor hidden, int[] rows) {
        return backend.logits(hidden, head, rows);
    }

    /**
     * One step's buffers.
     *
     * @param hidden residual stream
     * @param normed input of a projection
     * @param qkv queries, keys and values side by side
     * @param attended attention output before its projection
     * @param gateUp both halves of the SwiGLU
     * @param activated their product
     */
    record Activations(Tensor hidden, Tensor normed, Tensor qkv, Tensor attended, Tensor gateUp, Tensor activated) {
        Activations(Backend backend, ModelConfig config, int rows) {
            this(
                    backend.residual(rows, config.hidden()),
                    backend.activation(rows, config.hidden()),
                    backend.activation(rows, (config.heads() + 2 * config.kvHeads()) * config.headDim()),
                    backend.activation(rows, config.heads() * config.headDim()),
                    backend.activation(rows, 2 * config.intermediate()),
                    backend.activation(rows, config.intermediate()));
        }
    }
}
