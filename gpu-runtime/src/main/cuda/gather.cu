// Traffic between the tiers. Host blocks are mapped pinned memory, which the kernels read and write directly.
#include "kv_cache.cuh"

constexpr int GATHER_THREADS = 256;
constexpr int GATHER_LOADS = 8;  // of 16 bytes that a thread has under way

// Copies K and V of one block, layer and head by all threads of the thread block, past the caches as far as they allow.
__device__ __forceinline__ void copy_block(const KvCache& kv, void* target, const void* source) {
    const uint4* from = static_cast<const uint4*>(source);
    uint4* to = static_cast<uint4*>(target);
    const int pieces = int(kv.head_bytes() / sizeof(uint4));
    for (int first = threadIdx.x; first < pieces; first += GATHER_THREADS * GATHER_LOADS) {
        uint4 piece[GATHER_LOADS];
#pragma unroll
        for (int i = 0; i < GATHER_LOADS; i++) {
            int at = first + i * GATHER_THREADS;
            if (at < pieces) piece[i] = __ldcs(from + at);
        }
#pragma unroll
        for (int i = 0; i < GATHER_LOADS; i++) {
            int at = first + i * GATHER_THREADS;
            if (at < pieces) __stcg(to + at, piece[i]);
        }
    }
}

// Copies the blocks of the worklist from the host tier into their slots.
//
// rows int [B]; worklist {index into rows, head, block, slot} and worklist_count as decode_select writes them.
// Grid: any; block: 256. A thread block has 256 * D bytes under way, at most 32 KiB; reads 256 * D bytes an entry from the
// host.
extern "C" __global__ void __launch_bounds__(GATHER_THREADS) gather(
    KvCache kv, int layer, const int* rows, const int4* worklist, const int* worklist_count) {
    const int count = *worklist_count;
    for (int n = blockIdx.x; n < count; n += gridDim.x) {
        int4 entry = worklist[n];
        int row = rows[entry.x], head = entry.y, block = entry.z, slot = entry.w;
        copy_block(kv, kv.slot_keys(row, slot, layer, head), kv.host_keys(row, block, layer, head));
    }
}

// Copies each tail that its token has finished (position % 64 == 63) from its slot to its host block. After the token's
// attention in all layers.
//
// rows and positions int [B], -1 in rows: padding.
// Grid: (layers * kv_heads, B), for so many layers from first_layer on; block: 256. Writes 256 * D bytes to the host for
// each finished tail, layer and head.
extern "C" __global__ void __launch_bounds__(GATHER_THREADS) write_back(
    KvCache kv, int first_layer, const int* rows, const int* positions) {
    __shared__ int tail_slot;
    const int row = rows[blockIdx.y], position = positions[blockIdx.y];
    if (row < 0 || position % BLOCK_TOKENS != BLOCK_TOKENS - 1) return;
    const int tail = position / BLOCK_TOKENS, layer = first_layer + blockIdx.x / kv.kv_heads;
    const int head = blockIdx.x % kv.kv_heads;
    const int* slot_block = kv.slot_block + kv.slots_of(row, layer, head);
    for (int slot = threadIdx.x; slot < kv.row_slots[row]; slot += GATHER_THREADS) {
        if (slot_block[slot] == tail) tail_slot = slot;
    }
    __syncthreads();
    copy_block(kv, kv.host_keys(row, tail, layer, head), kv.slot_keys(row, tail_slot, layer, head));
}
