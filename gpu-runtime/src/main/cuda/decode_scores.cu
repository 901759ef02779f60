// Query-aware scores of one token of each of B sequences (specification, section 2, step 4): the products of each query
// head with every visible window's compressed key, and what their softmax needs.
//
// Logits are q . ck / sqrt(D) in base 2, that is times log2(e). The windows are split into contiguous ranges; of each
// range and query head the largest logit and the sum of 2 ^ (logit - largest) are written; of an empty one -1e30 and 0.
#include "decode_common.cuh"

constexpr int SCORE_WARPS = 4;
constexpr int SCORE_THREADS = WARP_LANES * SCORE_WARPS;

// row and position int [B], q bf16 [B][heads][D], logits f32 [B][kv_heads][group][max_windows], max_windows being a
// multiple of 16, partial f32 [B][kv_heads][splits][group][2]. Nothing is written for padding (row -1), where a query
// attends all blocks, and in modes without query scores.
// Grid: (splits, kv_heads, B); block: 128. Reads windows * D * 2 bytes a row and KV head, writes windows * group * 4.
template <int D>
__device__ __forceinline__ void score(
    const KvCache& kv, int layer, const int* rows, const int* positions, const bf16* q, float* logits,
    int max_windows, float2* partial) {
    __shared__ const bf16* pages[MAX_BLOCKS];  // the range's state pages
    __shared__ float2 statistics[SCORE_WARPS][GROUP_ROWS];
    const int head = blockIdx.y, row = rows[blockIdx.z], group = kv.group();
    const int lane = threadIdx.x % WARP_LANES, warp = threadIdx.x / WARP_LANES;
    if (row < 0 || !kv.has_query_scores() || kv.is_dense(positions[blockIdx.z])) return;
    const int windows = kv.windows(positions[blockIdx.z] + 1);
    const int tiles = (windows + TILE_KEYS - 1) / TILE_KEYS;
    const int first = tiles * blockIdx.x / gridDim.x * TILE_KEYS;
    const int end = min(int(tiles * (blockIdx.x + 1) / gridDim.x) * TILE_KEYS, windows);
    const int page_windows = kv.windows_per_page(), first_page = first / page_windows;
    for (int i = threadIdx.x; (first_page + i) * page_windows < end; i += SCORE_THREADS) {
        pages[i] = kv.state(row, first_page + i, layer, head);
    }
    const long long list = (long long)blockIdx.z * kv.kv_heads + head;
    Matrix queries[D / 16];
    load_group<D>(queries, q + list * group * D, group);
    logits += list * group * max_windows;
    __syncthreads();

    const float scale = LOG2E / sqrtf(D);
    float maximum[2] = {NO_SCORE, NO_SCORE}, sum[2] = {};  // of query heads lane / 4 + 8 * h, in this lane's columns
    auto key_of = [&](int window) {
        window = min(window, end - 1);
        return pages[window / page_windows - first_page] + window % page_windows * D;
    };
    for (int tile = first + warp * TILE_KEYS; tile < end; tile += SCORE_WARPS * TILE_KEYS) {
        KeyTile<D> keys;
        keys.load(key_of(tile + lane / 4), key_of(tile + lane / 4 + 8));
        float products[2][4] = {};
        keys.multiply(products, queries);
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int query = lane / 4 + h * 8;
            float top = maximum[h];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                int window = tile + i * 8 + lane % 4 * 2;
                float* x = &products[i][h * 2];
                x[0] *= scale;
                x[1] *= scale;
                if (query < group) {
                    *reinterpret_cast<float2*>(logits + query * max_windows + window) = make_float2(x[0], x[1]);
                }
                if (window >= end) x[0] = NO_SCORE;
                if (window + 1 >= end) x[1] = NO_SCORE;
                top = fmaxf(top, fmaxf(x[0], x[1]));
            }
            sum[h] *= exp2_approx(maximum[h] - top);
            maximum[h] = top;
#pragma unroll
            for (int i = 0; i < 2; i++) {
                sum[h] += exp2_approx(products[i][h * 2] - top) + exp2_approx(products[i][h * 2 + 1] - top);
            }
        }
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float top = row_max(maximum[h]);
        float total = row_sum(sum[h] * exp2_approx(maximum[h] - top));
        if (lane % 4 == 0) statistics[warp][lane / 4 + h * 8] = make_float2(top, total);
    }
    __syncthreads();
    if (threadIdx.x < group) {
        float2 all = make_float2(NO_SCORE, 0);
        for (int w = 0; w < SCORE_WARPS; w++) all.x = fmaxf(all.x, statistics[w][threadIdx.x].x);
        for (int w = 0; w < SCORE_WARPS; w++) {
            all.y += statistics[w][threadIdx.x].y * exp2_approx(statistics[w][threadIdx.x].x - all.x);
        }
        partial[(list * gridDim.x + blockIdx.x) * group + threadIdx.x] = all;
    }
}

extern "C" __global__ void __launch_bounds__(SCORE_THREADS) decode_scores_d64(
    KvCache kv, int layer, const int* row, const int* position, const bf16* q, float* logits, int max_windows,
    float2* partial) {
    score<64>(kv, layer, row, position, q, logits, max_windows, partial);
}

extern "C" __global__ void __launch_bounds__(SCORE_THREADS) decode_scores_d128(
    KvCache kv, int layer, const int* row, const int* position, const bf16* q, float* logits, int max_windows,
    float2* partial) {
    score<128>(kv, layer, row, position, q, logits, max_windows, partial);
}
