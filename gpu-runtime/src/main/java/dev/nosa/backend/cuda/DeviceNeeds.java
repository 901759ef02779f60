package dev.nosa.backend.cuda;

import dev.nosa.backend.Backends.Options;
import dev.nosa.cache.DeviceMemory;

/** Bytes that a backend takes of its GPU beside KV pages. */
public final class DeviceNeeds {
    /** A continuation's logits are computed that many at a time at least. */
    static final int MIN_LOGIT_ROWS = 32;

    private static final int BUCKET = 8;
    /** Of tensors in the workspace. */
    private static final long ALIGNMENT_SLACK = 16 << 10;
    /** Kernels, recorded graphs, tables. */
    private static final long DRIVER_BYTES = 1L << 30;

    private DeviceNeeds() {}

    /** What the GPU has and needs; the layout's slots, the batch and the numbers of pages and blocks are not read. */
    public static DeviceMemory of(Options options) {
        SupportedShapes.check(options);
        try (CudaContext context = CudaContext.open(options.device())) {
            long sequence = sequenceBytes(options);
            long fixed = options.size().weights() * Short.BYTES
                    + stepBytes(options, options.maxStepTokens())
                    + PrefillAttention.scratchBytes(options.shape(), options.layout(), options.maxContext())
                    + MIN_LOGIT_ROWS * sequence
                    + CublasLt.WORKSPACE_BYTES
                    + DRIVER_BYTES;
            return new DeviceMemory(context.freeBytes(), fixed, sequence, HostMemory.pinnable());
        }
    }

    static long workspaceBytes(Options options) {
        return stepBytes(options, options.maxStepTokens())
                + PrefillAttention.scratchBytes(options.shape(), options.layout(), options.maxContext())
                + (padded(options.maxBatch()) + MIN_LOGIT_ROWS) * sequenceBytes(options);
    }

    /** Activations and queries of a step's tokens. */
    private static long stepBytes(Options options, int tokens) {
        long queries = (long) options.shape().heads() * options.shape().headDim();
        long token = options.size().residual() * Float.BYTES + (options.size().activations() + queries) * Short.BYTES;
        return tokens * token + ALIGNMENT_SLACK;
    }

    /** Activations, scores and logits of one decoding sequence. */
    private static long sequenceBytes(Options options) {
        long logits =
                (long) options.size().vocab() * Float.BYTES + options.size().hidden() * Short.BYTES;
        return stepBytes(options, 1)
                + logits
                + DecodeAttention.scratchBytes(options.shape(), options.layout(), options.maxContext());
    }

    /** The number of lanes that a batch of decodes is widened to. */
    static int padded(int rows) {
        return (rows + BUCKET - 1) / BUCKET * BUCKET;
    }
}
