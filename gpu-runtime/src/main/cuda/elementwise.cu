// Operations on rows of the residual stream (F32) and of activations (BF16).
#include "common.cuh"

constexpr int ELEMENT_THREADS = 256;
constexpr int ELEMENT_WARPS = ELEMENT_THREADS / 32;

// out[i] = table[tokens[i]].
//
// tokens int [rows], table bf16 [vocabulary][columns], out f32 [rows][columns]; columns a multiple of 8.
// Grid: rows; block: 256. Moves 6 * columns bytes a row.
extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) embed(
    const int* tokens, const bf16* table, int columns, float* out) {
    const bf16* source = table + (long long)tokens[blockIdx.x] * columns;
    out += (long long)blockIdx.x * columns;
    for (int at = threadIdx.x * VECTOR; at < columns; at += ELEMENT_THREADS * VECTOR) {
        float x[VECTOR];
        load_floats(x, source + at);
        float4* target = reinterpret_cast<float4*>(out + at);
        target[0] = make_float4(x[0], x[1], x[2], x[3]);
        target[1] = make_float4(x[4], x[5], x[6], x[7]);
    }
}

// out = x / sqrt(mean(x^2) + epsilon) * gain, by row.
//
// x f32 [rows][columns], gain bf16 [columns], out bf16 [rows][columns]; columns a multiple of 4.
// Grid: rows; block: 256. Moves 6 * columns bytes a row; the second reading of x is from L1.
extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) rms_norm(
    const float* x, const bf16* gain, float epsilon, int columns, bf16* out) {
    __shared__ float warp_sums[ELEMENT_WARPS];
    const float4* source = reinterpret_cast<const float4*>(x + (long long)blockIdx.x * columns);
    const uint2* gains = reinterpret_cast<const uint2*>(gain);
    uint2* target = reinterpret_cast<uint2*>(out + (long long)blockIdx.x * columns);
    float sum = 0;
#pragma unroll 4
    for (int i = threadIdx.x; i < columns / 4; i += ELEMENT_THREADS) {
        float4 own = source[i];
        sum += own.x * own.x + own.y * own.y + own.z * own.z + own.w * own.w;
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = 0;
    for (int w = 0; w < ELEMENT_WARPS; w++) sum += warp_sums[w];
    const float scale = 1 / sqrtf(sum / columns + epsilon);
#pragma unroll 4
    for (int i = threadIdx.x; i < columns / 4; i += ELEMENT_THREADS) {
        float4 own = source[i];
        uint2 raw = gains[i];
        float2 low = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&raw.x));
        float2 high = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&raw.y));
        target[i] = make_uint2(
            pack_bf16(own.x * scale * low.x, own.y * scale * low.y),
            pack_bf16(own.z * scale * high.x, own.w * scale * high.y));
    }
}

// out = gate / (1 + exp(-gate)) * up.
//
// gate_up bf16 [rows][2 * columns], gate and up side by side, out bf16 [rows][columns]; columns a multiple of 8.
// Grid: (ceil(columns / 2048), rows); block: 256. Moves 6 * columns bytes a row.
extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) silu_mul(const bf16* gate_up, int columns, bf16* out) {
    const int at = (blockIdx.x * ELEMENT_THREADS + threadIdx.x) * VECTOR;
    if (at >= columns) return;
    float gate[VECTOR], up[VECTOR];
    load_floats(gate, gate_up + (long long)blockIdx.y * 2 * columns + at);
    load_floats(up, gate_up + (long long)blockIdx.y * 2 * columns + columns + at);
#pragma unroll
    for (int i = 0; i < VECTOR; i++) up[i] *= gate[i] / (1 + expf(-gate[i]));
    store_bf16(out + (long long)blockIdx.y * columns + at, up);
}
