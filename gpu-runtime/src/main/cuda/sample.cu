// Greedy tokens and log-probabilities from logits, as dev.nosa.sample.Sampler.
#include "common.cuh"

constexpr int SAMPLE_THREADS = 1024;
constexpr int SAMPLE_WARPS = SAMPLE_THREADS / 32;
constexpr float LARGEST_FLOAT = 3.402823466e38f;
constexpr unsigned NOT_FINITE = 0xffffffff;  // above score_key of every number

using RankedToken = unsigned long long;  // key of the logit, then the inverse of the token: the lowest is the largest

__device__ __forceinline__ RankedToken rank_token(unsigned key, int token) {
    return (unsigned long long)key << 32 | ~unsigned(token);
}
__device__ __forceinline__ unsigned key_of(RankedToken ranked) { return ranked >> 32; }
__device__ __forceinline__ int token_of(RankedToken ranked) { return int(~unsigned(ranked)); }

// The largest of a row's logits, the lowest token among equals; or the first that is not finite. All threads get it.
__device__ __forceinline__ RankedToken best_token(const float* logits, int vocabulary) {
    __shared__ RankedToken warp_best[SAMPLE_WARPS];
    float highest = -INFINITY;
    int token = -1, bad = -1;
#pragma unroll 8
    for (int t = threadIdx.x; t < vocabulary; t += SAMPLE_THREADS) {
        float x = logits[t];
        bool finite = fabsf(x) <= LARGEST_FLOAT;
        bad = !finite && bad < 0 ? t : bad;
        bool higher = finite && x > highest;
        highest = higher ? x : highest;
        token = higher ? t : token;
    }
    RankedToken best = 0;
    if (bad >= 0) best = rank_token(NOT_FINITE, bad);
    else if (token >= 0) best = rank_token(score_key(highest), token);
    for (int distance = 16; distance > 0; distance /= 2) {
        best = max(best, __shfl_xor_sync(ALL_LANES, best, distance));
    }
    if (threadIdx.x % 32 == 0) warp_best[threadIdx.x / 32] = best;
    __syncthreads();
    for (int w = 0; w < SAMPLE_WARPS; w++) best = max(best, warp_best[w]);
    return best;
}

// The token with the largest logit, the lowest among equals; -1 - t where the logit of token t, the first such, is not
// finite.
//
// logits f32 [rows][vocabulary], result int [rows].
// Grid: rows; block: 1024. Reads 4 * vocabulary bytes a row.
extern "C" __global__ void __launch_bounds__(SAMPLE_THREADS) arg_max(const float* logits, int vocabulary, int* result) {
    RankedToken best = best_token(logits + (long long)blockIdx.x * vocabulary, vocabulary);
    if (threadIdx.x == 0) result[blockIdx.x] = key_of(best) == NOT_FINITE ? -1 - token_of(best) : token_of(best);
}

// result[i] = log softmax(logits[rows[i]])[tokens[i]]; NaN where a logit of the row is not finite. Each thread adds its
// exponentials up with compensation, and the threads' sums are added as F64.
//
// logits f32 [..][vocabulary]; rows and tokens int [n], result f32 [n].
// Grid: n; block: 1024. Reads 4 * vocabulary bytes, and again from L2.
extern "C" __global__ void __launch_bounds__(SAMPLE_THREADS) log_probs(
    const float* logits, int vocabulary, const int* rows, const int* tokens, float* result) {
    __shared__ double warp_sums[SAMPLE_WARPS];
    logits += (long long)rows[blockIdx.x] * vocabulary;
    RankedToken best = best_token(logits, vocabulary);
    if (key_of(best) == NOT_FINITE) {
        if (threadIdx.x == 0) result[blockIdx.x] = NAN;
        return;
    }
    const float highest = logits[token_of(best)];
    float sum = 0, excess = 0;  // what the sum has too much
#pragma unroll 4
    for (int t = threadIdx.x; t < vocabulary; t += SAMPLE_THREADS) {
        float x = expf(logits[t] - highest) - excess;
        float next = sum + x;
        excess = (next - sum) - x;
        sum = next;
    }
    double total = double(sum) - excess;
    for (int distance = 16; distance > 0; distance /= 2) total += __shfl_xor_sync(ALL_LANES, total, distance);
    if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = total;
    __syncthreads();
    if (threadIdx.x > 0) return;
    total = 0;
    for (int w = 0; w < SAMPLE_WARPS; w++) total += warp_sums[w];
    result[blockIdx.x] = float(double(logits[tokens[blockIdx.x]]) - (highest + log(total)));
}
