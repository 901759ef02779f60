// Rows that begin to decode, and forks.
#include "kv_cache.cuh"

// Fills a row's slot tables: slots [0, count) hold blocks first, first + 1, ...; the others are empty. Their clocks say that
// each block was used last by its own last token, so later blocks stay longer.
// grid (layers * kv_heads), block 256; writes 8 bytes a slot.
extern "C" __global__ void init_slots(KvCache kv, int row, int slots, int first, int count) {
    long long at = ((long long)row * gridDim.x + blockIdx.x) * kv.max_slots;
    for (int s = threadIdx.x; s < slots; s += blockDim.x) {
        bool filled = s < count;
        kv.slot_block[at + s] = filled ? first + s : -1;
        kv.slot_used[at + s] = filled ? 2 * BLOCK_TOKENS * (first + s) + 1 : 0;
    }
}

// Copies block `tail` from the slot where `parent` has it into slot 0 of `child`.
// grid (kv_heads, layers), block 256; reads and writes one block's K and V a thread block.
extern "C" __global__ void copy_tail(KvCache kv, int parent, int child, int tail) {
    int head = blockIdx.x, layer = blockIdx.y;
    const int* blocks = kv.slot_block + kv.slots_of(parent, layer, head);
    __shared__ int found;
    if (threadIdx.x == 0) found = 0;
    __syncthreads();
    for (int s = threadIdx.x; s < kv.row_slots[parent]; s += blockDim.x) {
        if (blocks[s] == tail) found = s;
    }
    __syncthreads();
    const uint4* from = reinterpret_cast<const uint4*>(kv.slot_keys(parent, found, layer, head));
    uint4* to = reinterpret_cast<uint4*>(kv.slot_keys(child, 0, layer, head));
    for (int i = threadIdx.x; i < kv.head_bytes() / sizeof(uint4); i += blockDim.x) {
        to[i] = from[i];
    }
}
