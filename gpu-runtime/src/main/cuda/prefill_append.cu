// Takes a slice of one row's prompt into the KV cache: positions [start, start + count). All its pages exist.
#include "prefill_common.cuh"

constexpr int APPEND_TOKENS = 4;     // of a thread block
constexpr int APPEND_THREADS = 256;

// Where the K of a position lies; its V follows after 64 * D elements.
__device__ __forceinline__ bf16* key_at(const KvCache& kv, int layer, int row, int head, int position) {
    int token = position % BLOCK_TOKENS;
    return kv.slot_keys(row, position / BLOCK_TOKENS, layer, head) + token * kv.head_dim;
}

// Rotary embedding of q and k: halves (x, y) of a head become (x cos - y sin, y cos + x sin) * rope_scale, the angle
// being float(position) * rope_freq, rounded to F32. k and v go into the row's pages, q into q_out, and cis = a *
// softplus(delta . v + bias), where v are all KV heads, into the state pages.
//
// qkv bf16 [count][(heads + 2 * kv_heads) * D], rope_freq f32 [D / 2], a and delta_bias bf16 [kv_heads], delta bf16
// [kv_heads][kv_heads * D], q_out bf16 [count][heads][D]; a is null in modes without importance, delta_bias may be.
// Grid: ceil(count / 4); block: 256. Moves 4 * (heads + 2 * kv_heads) * D bytes a token.
template <int D>
__device__ __forceinline__ void append(
    const KvCache& kv, int layer, int row, int start, int count, const bf16* qkv, const float* rope_freq,
    float rope_scale, const bf16* a, const bf16* delta, const bf16* delta_bias, bf16* q_out) {
    constexpr int HALF = D / 2;
    constexpr int VECTORS = HALF / VECTOR;
    __shared__ float2 angles[APPEND_TOKENS][HALF];
    const int first = blockIdx.x * APPEND_TOKENS;
    const int tokens = min(APPEND_TOKENS, count - first);
    const int width = (kv.heads + 2 * kv.kv_heads) * D;
    const int rotated = kv.heads + kv.kv_heads;
    qkv += (long long)first * width;
    q_out += (long long)first * kv.heads * D;

    for (int i = threadIdx.x; i < tokens * HALF; i += APPEND_THREADS) {
        float angle = float(start + first + i / HALF) * rope_freq[i % HALF];
        float sine, cosine;
        sincosf(angle, &sine, &cosine);
        angles[i / HALF][i % HALF] = make_float2(cosine * rope_scale, sine * rope_scale);
    }
    __syncthreads();

    for (int i = threadIdx.x; i < tokens * rotated * VECTORS; i += APPEND_THREADS) {
        int token = i / VECTORS / rotated, head = i / VECTORS % rotated, at = i % VECTORS * VECTOR;
        const bf16* source = qkv + token * width + head * D + at;
        bf16* target = head < kv.heads ? q_out + (token * kv.heads + head) * D
                                       : key_at(kv, layer, row, head - kv.heads, start + first + token);
        float x[VECTOR], y[VECTOR], u[VECTOR], v[VECTOR];
        load_floats(x, source);
        load_floats(y, source + HALF);
#pragma unroll
        for (int j = 0; j < VECTOR; j++) {
            float2 angle = angles[token][at + j];
            u[j] = x[j] * angle.x - y[j] * angle.y;
            v[j] = y[j] * angle.x + x[j] * angle.y;
        }
        store_bf16(target + at, u);
        store_bf16(target + at + HALF, v);
    }

    const int lane = threadIdx.x % 32;
    for (int i = threadIdx.x / 32; i < tokens * kv.kv_heads; i += APPEND_THREADS / 32) {
        int token = i / kv.kv_heads, head = i % kv.kv_heads, position = start + first + token;
        const bf16* values = qkv + token * width + rotated * D;
        bf16* target = key_at(kv, layer, row, head, position) + BLOCK_TOKENS * D;
        if (lane < D / VECTOR) {
            int at = lane * VECTOR;
            *reinterpret_cast<uint4*>(target + at) = *reinterpret_cast<const uint4*>(values + head * D + at);
        }
        if (a == nullptr) continue;
        float dot = 0;
        for (int at = lane * VECTOR; at < kv.kv_heads * D; at += 32 * VECTOR) {
            float v[VECTOR], d[VECTOR];
            load_floats(v, values + at);
            load_floats(d, delta + head * kv.kv_heads * D + at);
#pragma unroll
            for (int j = 0; j < VECTOR; j++) dot += v[j] * d[j];
        }
        for (int distance = 16; distance > 0; distance /= 2) dot += __shfl_xor_sync(ALL_LANES, dot, distance);
        if (lane == 0) {
            dot += delta_bias == nullptr ? 0 : __bfloat162float(delta_bias[head]);
            float softplus = dot > 20 ? dot : log1pf(expf(dot));
            *kv.token_importance(row, layer, head, position) = __bfloat162float(a[head]) * softplus;
        }
    }
}

extern "C" __global__ void __launch_bounds__(APPEND_THREADS) prefill_append_d64(
    KvCache kv, int layer, int row, int start, int count, const bf16* qkv, const float* rope_freq, float rope_scale,
    const bf16* a, const bf16* delta, const bf16* delta_bias, bf16* q_out) {
    append<64>(kv, layer, row, start, count, qkv, rope_freq, rope_scale, a, delta, delta_bias, q_out);
}

extern "C" __global__ void __launch_bounds__(APPEND_THREADS) prefill_append_d128(
    KvCache kv, int layer, int row, int start, int count, const bf16* qkv, const float* rope_freq, float rope_scale,
    const bf16* a, const bf16* delta, const bf16* delta_bias, bf16* q_out) {
    append<128>(kv, layer, row, start, count, qkv, rope_freq, rope_scale, a, delta, delta_bias, q_out);
}

// The windows that the slice completes, [windows(start), windows(start + count)): mean of the keys as BF16 in modes
// with query scores, mean of cis in modes with importance. After prefill_append.
//
// Grid: (ceil(windows / 4), kv_heads); block: 2 * D, a quarter of it for each window. Reads windows * window * D * 2 bytes a
// head, mostly from L2.
extern "C" __global__ void prefill_compress(KvCache kv, int layer, int row, int start, int count) {
    int pair_of_key = threadIdx.x % (kv.head_dim / 2);
    int window = kv.windows(start) + 4 * blockIdx.x + threadIdx.x / (kv.head_dim / 2);
    int head = blockIdx.y;
    if (window >= kv.windows(start + count)) return;
    int first = window * kv.stride, end = first + kv.window;
    if (kv.has_query_scores()) {
        float2 sum = make_float2(0, 0);
#pragma unroll 8
        for (int position = first; position < end; position++) {
            const bf16* key = key_at(kv, layer, row, head, position) + 2 * pair_of_key;
            float2 pair = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(key));
            sum.x += pair.x;
            sum.y += pair.y;
        }
        bf16* target = kv.window_key(row, layer, head, window) + 2 * pair_of_key;
        *reinterpret_cast<unsigned*>(target) = pack_bf16(sum.x / kv.window, sum.y / kv.window);
    }
    if (kv.has_importance() && pair_of_key == 0) {
        float sum = 0;
        for (int position = first; position < end; position++) {
            sum += *kv.token_importance(row, layer, head, position);
        }
        *kv.window_importance(row, layer, head, window) = sum / kv.window;
    }
}
