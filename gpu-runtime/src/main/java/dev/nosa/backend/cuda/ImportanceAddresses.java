package dev.nosa.backend.cuda;

import dev.nosa.backend.ImportanceWeights;

/**
 * Device addresses of one layer's importance head; 0 where there is none.
 *
 * @param a BF16 (Hkv)
 * @param delta BF16 (Hkv, Hkv * D)
 * @param bias BF16 (Hkv), or 0
 */
record ImportanceAddresses(long a, long delta, long bias) {
    static ImportanceAddresses of(ImportanceWeights weights) {
        if (weights == null) {
            return new ImportanceAddresses(0, 0, 0);
        }
        long bias = weights.bias() == null ? 0 : ((CudaWeight) weights.bias()).address();
        return new ImportanceAddresses(
                ((CudaWeight) weights.a()).address(), ((CudaWeight) weights.delta()).address(), bias);
    }
}
