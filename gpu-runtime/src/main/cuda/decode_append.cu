// Takes one token of each of B sequences into the KV cache: rotary embedding, importance, the tail's slot, and the
// window that the token completes (specification, section 2, steps 1 to 3, and section 4).
//
// Where the token is a block's first, the block takes the slot that was unused longest, the lowest among equals
// (SlotTable.openTail); empty slots have never been used.
#include "decode_common.cuh"

constexpr int APPEND_THREADS = 256;

// q and k get the rotary embedding, k and v go into the tail's slot, q into q_out, and
// cis = a * softplus(delta . v + bias), v being all KV heads, into the state pages. A completed window's key is the
// mean of its keys, summed in F32 in their order; its importance likewise. A key that is in no slot (a fork begins with
// its tail alone) is read on the host.
//
// row and position int [B], row -1: padding, for which nothing is done; qkv bf16 [B][(heads + 2 * kv_heads) * D],
// rope_freq f32 [D / 2], a and delta_bias bf16 [kv_heads], delta bf16 [kv_heads][kv_heads * D],
// q_out bf16 [B][heads][D]; a is null in modes without importance, delta_bias may be.
// Grid: (kv_heads, B); block: 256. Moves 4 * (group + 2) * D bytes and reads row_slots * 4 (8 where a block begins),
// and window * D * 2 where a window ends.
template <int D>
__device__ __forceinline__ void append(
    const KvCache& kv, int layer, const int* rows, const int* positions, const bf16* qkv, const float* rope_freq,
    float rope_scale, const bf16* a, const bf16* delta, const bf16* delta_bias, bf16* q_out) {
    constexpr int VECTORS = D / 2 / VECTOR;
    __shared__ float2 angles[D / 2];
    __shared__ const bf16* keys[MAX_BLOCKS];  // of blocks first_block, ...
    __shared__ unsigned oldest;               // clock of the slot that was unused longest, then the slot
    const int head = blockIdx.x, row = rows[blockIdx.y];
    const int lane = threadIdx.x % WARP_LANES, warp = threadIdx.x / WARP_LANES;
    if (row < 0) return;
    const int position = positions[blockIdx.y], group = kv.group();
    const int block = position / BLOCK_TOKENS, token = position % BLOCK_TOKENS;
    const bool opens = token == 0;
    const bool completes = kv.mode != FULL && kv.windows(position + 1) > kv.windows(position);
    const int window = kv.windows(position), first = position + 1 - kv.window;  // where it completes one
    const int first_block = completes ? first / BLOCK_TOKENS : block;
    int* slot_block = kv.slot_block + kv.slots_of(row, layer, head);
    int* slot_used = kv.slot_used + kv.slots_of(row, layer, head);

    for (int i = threadIdx.x; i < D / 2; i += APPEND_THREADS) {
        angles[i] = rope_angle(position, rope_freq[i], rope_scale);
    }
    for (int i = threadIdx.x; i < block - first_block; i += APPEND_THREADS) {
        keys[i] = reinterpret_cast<const bf16*>(kv.host_keys(row, first_block + i, layer, head));
    }
    if (threadIdx.x == 0) oldest = 0xffffffff;
    __syncthreads();
    if (opens) {
        unsigned least = 0xffffffff;
        for (int s = threadIdx.x; s < kv.row_slots[row]; s += APPEND_THREADS) {
            least = min(least, unsigned(slot_used[s]) * MAX_SLOTS + s);
        }
        least = __reduce_min_sync(ALL_LANES, least);
        if (lane == 0) atomicMin(&oldest, least);
        __syncthreads();
        if (threadIdx.x == 0) {
            int slot = oldest % MAX_SLOTS;
            slot_block[slot] = block;
            slot_used[slot] = 2 * position + 1;
        }
        __syncthreads();
    }
    for (int s = threadIdx.x; s < kv.row_slots[row]; s += APPEND_THREADS) {
        int b = slot_block[s];
        if (b >= first_block && b <= block) keys[b - first_block] = kv.slot_keys(row, s, layer, head);
    }
    __syncthreads();

    bf16* own_key = const_cast<bf16*>(keys[block - first_block]) + token * D;
    qkv += (long long)blockIdx.y * (kv.heads + 2 * kv.kv_heads) * D;
    q_out += (long long)blockIdx.y * kv.heads * D;
    for (int i = threadIdx.x; i < (group + 1) * VECTORS; i += APPEND_THREADS) {
        int n = i / VECTORS, at = i % VECTORS * VECTOR;
        const bf16* source = qkv + (n < group ? head * group + n : kv.heads + head) * D;
        bf16* target = n < group ? q_out + (head * group + n) * D : own_key;
        rotate(target + at, source + at, D / 2, angles + at);
    }
    const bf16* values = qkv + (kv.heads + kv.kv_heads) * D;
    if (threadIdx.x < D / VECTOR) {
        uint4 piece = reinterpret_cast<const uint4*>(values + head * D)[threadIdx.x];
        reinterpret_cast<uint4*>(own_key + BLOCK_TOKENS * D)[threadIdx.x] = piece;
    }
    if (a != nullptr && warp == APPEND_THREADS / WARP_LANES - 1) {
        const bf16* bias = delta_bias == nullptr ? nullptr : delta_bias + head;
        float cis = importance_of(values, delta + head * kv.kv_heads * D, kv.kv_heads * D, a + head, bias);
        if (lane == 0) *kv.token_importance(row, layer, head, position) = cis;
    }
    if (!completes) return;
    __syncthreads();

    if (kv.has_query_scores() && threadIdx.x < D / 2) {
        float2 sum = make_float2(0, 0);
#pragma unroll 16
        for (int p = first; p <= position; p++) {
            const bf16* key = keys[p / BLOCK_TOKENS - first_block] + p % BLOCK_TOKENS * D;
            float2 pair = __bfloat1622float2(reinterpret_cast<const __nv_bfloat162*>(key)[threadIdx.x]);
            sum.x += pair.x;
            sum.y += pair.y;
        }
        unsigned* target = reinterpret_cast<unsigned*>(kv.window_key(row, layer, head, window));
        target[threadIdx.x] = pack_bf16(sum.x / kv.window, sum.y / kv.window);
    }
    if (kv.has_importance() && warp == APPEND_THREADS / WARP_LANES - 1) {
        float sum = 0;
        for (int p = first; p <= position; p += WARP_LANES) {
            float cis = *kv.token_importance(row, layer, head, min(p + lane, position));
            for (int i = 0; i < min(WARP_LANES, position + 1 - p); i++) sum += __shfl_sync(ALL_LANES, cis, i);
        }
        if (lane == 0) *kv.window_importance(row, layer, head, window) = sum / kv.window;
    }
}

extern "C" __global__ void __launch_bounds__(APPEND_THREADS) decode_append_d64(
    KvCache kv, int layer, const int* row, const int* position, const bf16* qkv, const float* rope_freq,
    float rope_scale, const bf16* a, const bf16* delta, const bf16* delta_bias, bf16* q_out) {
    append<64>(kv, layer, row, position, qkv, rope_freq, rope_scale, a, delta, delta_bias, q_out);
}

extern "C" __global__ void __launch_bounds__(APPEND_THREADS) decode_append_d128(
    KvCache kv, int layer, const int* row, const int* position, const bf16* qkv, const float* rope_freq,
    float rope_scale, const bf16* a, const bf16* delta, const bf16* delta_bias, bf16* q_out) {
    append<128>(kv, layer, row, position, qkv, rope_freq, rope_scale, a, delta, delta_bias, q_out);
}
