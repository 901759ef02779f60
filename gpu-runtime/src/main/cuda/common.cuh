// What decode and prefill share: vectors of BF16, rotary embedding, products and reductions of one warp.
#pragma once
#include "kv_cache.cuh"

using bf16 = __nv_bfloat16;

constexpr float LOG2E = 1.4426950408889634f;
constexpr float SCORE_FLOOR = -80;  // of a window's score relative to the largest of its query head
constexpr float NO_SCORE = -1e30f;  // below every score, and finite
constexpr unsigned ALL_LANES = 0xffffffff;
constexpr int VECTOR = 8;         // bf16 in 16 bytes
constexpr int MAX_BLOCKS = 2048;  // of a sequence; it has no more state pages either
constexpr int MAX_SLOTS = MAX_BLOCKS;

__device__ __forceinline__ void load_floats(float (&x)[VECTOR], const bf16* source) {
    uint4 raw = *reinterpret_cast<const uint4*>(source);
    const __nv_bfloat162* pairs = reinterpret_cast<const __nv_bfloat162*>(&raw);
#pragma unroll
    for (int i = 0; i < VECTOR / 2; i++) {
        float2 pair = __bfloat1622float2(pairs[i]);
        x[2 * i] = pair.x;
        x[2 * i + 1] = pair.y;
    }
}

__device__ __forceinline__ unsigned pack_bf16(float low, float high) {
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<unsigned*>(&pair);
}

__device__ __forceinline__ void store_bf16(bf16* target, const float (&x)[VECTOR]) {
    *reinterpret_cast<uint4*>(target) = make_uint4(
        pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]), pack_bf16(x[4], x[5]), pack_bf16(x[6], x[7]));
}

// cos and sin of one pair of a head, times the rope scale. The angle is rounded to F32.
__device__ __forceinline__ float2 rope_angle(int position, float frequency, float scale) {
    float sine, cosine;
    sincosf(__fmul_rn(float(position), frequency), &sine, &cosine);
    return make_float2(cosine * scale, sine * scale);
}

// Rotates VECTOR pairs of a head, which lie `half` = D / 2 apart: (x, y) becomes (x cos - y sin, y cos + x sin).
__device__ __forceinline__ void rotate(bf16* target, const bf16* source, int half, const float2* angles) {
    float x[VECTOR], y[VECTOR], u[VECTOR], v[VECTOR];
    load_floats(x, source);
    load_floats(y, source + half);
#pragma unroll
    for (int i = 0; i < VECTOR; i++) {
        u[i] = x[i] * angles[i].x - y[i] * angles[i].y;
        v[i] = y[i] * angles[i].x + x[i] * angles[i].y;
    }
    store_bf16(target, u);
    store_bf16(target + half, v);
}

__device__ __forceinline__ float warp_sum(float x) {
    for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(ALL_LANES, x, distance);
    return x;
}

// cis of a token: a * softplus(delta . values + bias), by one warp; all lanes get it. values and delta bf16 [width].
__device__ __forceinline__ float importance_of(
    const bf16* values, const bf16* delta, int width, const bf16* a, const bf16* bias) {
    float dot = 0;
    for (int at = threadIdx.x % 32 * VECTOR; at < width; at += 32 * VECTOR) {
        float v[VECTOR], d[VECTOR];
        load_floats(v, values + at);
        load_floats(d, delta + at);
#pragma unroll
        for (int i = 0; i < VECTOR; i++) dot += v[i] * d[i];
    }
    dot = warp_sum(dot) + (bias == nullptr ? 0 : __bfloat162float(*bias));
    return __bfloat162float(*a) * (dot > 20 ? dot : log1pf(expf(dot)));
}

// The four 8 x 8 parts of a 16 x 16 operand, of each of which lane l holds row l / 4, columns 2 * (l % 4) and the next:
// rows 0-7, columns 0-7; rows 8-15, columns 0-7; rows 0-7, columns 8-15; the rest.
struct Matrix {
    unsigned r[4];
};

// sum(16 x 8) += left(16 x 16) * right(16 x 8), BF16 with F32 sums. Lane l holds of the sum, in row l / 4 ([0], [1])
// and l / 4 + 8 ([2], [3]), columns 2 * (l % 4) and the next; of the right operand's column l / 4, rows 2 * (l % 4) and
// the next, and those 8 further down.
__device__ __forceinline__ void multiply_add(float (&sum)[4], const Matrix& left, unsigned right0, unsigned right1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(left.r[0]), "r"(left.r[1]), "r"(left.r[2]), "r"(left.r[3]), "r"(right0), "r"(right1));
}

// 2^x, with 0 for results below 2^-126.
__device__ __forceinline__ float exp2_approx(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// A key that orders as the score, with -0 equal to 0, and is not 0.
__device__ __forceinline__ unsigned score_key(float score) {
    unsigned bits = __float_as_uint(score + 0.0f);
    return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}
