// Selection of a slice of one row's prompt (specification, section 2, steps 5 to 7, and section 3), exactly as
// BlockSelection, and its transposition for attention: the blocks of a tile of queries.
#include "prefill_common.cuh"

constexpr int SELECT_WARPS = 8;
constexpr int SELECT_QUERIES = 32;  // of a thread block
constexpr int UNION_THREADS = 128;

// Keys of the blocks in [first, end) that are not taken yet.
template <int WORDS>
__device__ __forceinline__ void load_keys(
    unsigned (&key)[WORDS], const float* scores, int first, int end, unsigned long long taken) {
#pragma unroll
    for (int i = 0; i < WORDS; i++) {
        int block = 32 * i + threadIdx.x % 32;
        bool free = block >= first && block < end && !(taken >> i & 1);
        key[i] = free ? score_key(scores[block]) : 0;
    }
}

// Takes the `wanted` largest keys, the lowest block first among equals; by one warp. key[i] of lane l is that of block
// 32 * i + l, 0 for blocks that cannot be taken, of which there are others at least as many as wanted. Adds this lane's
// blocks to bits i of taken. A search for the smallest key to take, one bit at a time; it ends when the rest of the
// bits decides nothing.
template <int WORDS>
__device__ __forceinline__ void take_largest(const unsigned (&key)[WORDS], int wanted, unsigned long long& taken) {
    if (wanted <= 0) return;
    unsigned least = 0;
    for (unsigned bit = 0x80000000; bit != 0; bit >>= 1) {
        int count = 0;
#pragma unroll
        for (int i = 0; i < WORDS; i++) count += key[i] >= (least | bit);
        count = __reduce_add_sync(ALL_LANES, count);
        if (count >= wanted) least |= bit;
        if (count == wanted) break;
    }
    int above = 0;
#pragma unroll
    for (int i = 0; i < WORDS; i++) above += key[i] > least;
    int ties = wanted - __reduce_add_sync(ALL_LANES, above);
    unsigned lower_lanes = (1u << threadIdx.x % 32) - 1;
#pragma unroll
    for (int i = 0; i < WORDS; i++) {
        unsigned equal = __ballot_sync(ALL_LANES, key[i] == least);
        bool tie = key[i] == least && __popc(equal & lower_lanes) < ties;
        taken |= (unsigned long long)(key[i] > least || tie) << i;
        ties -= __popc(equal);
    }
}

// One warp selects for one query. WORDS are at least `words`.
template <int WORDS>
__device__ __forceinline__ void select_blocks(
    const KvCache& kv, int position, const float* scores, const float* importance, unsigned* selected, int words) {
    const int lane = threadIdx.x % 32;
    const int current = position / BLOCK_TOKENS;
    const bool dense = kv.is_dense(position);
    const int first = kv.init_blocks, end = current - kv.local_blocks;  // the others are forced
    unsigned long long taken = 0;
    if (!dense) {
        unsigned key[WORDS];
        int count = current + 1 - (end - first);
        if (kv.has_query_scores()) {
            load_keys<WORDS>(key, scores, first, end, taken);
            int cut = kv.has_importance() ? kv.query_cut : kv.topk;
            take_largest<WORDS>(key, cut - count, taken);
            count = max(count, cut);
        }
        if (kv.has_importance()) {
            load_keys<WORDS>(key, importance, first, end, taken);
            take_largest<WORDS>(key, kv.topk - count, taken);
        }
    }
#pragma unroll
    for (int i = 0; i < WORDS; i++) {
        int block = 32 * i + lane;
        bool forced = block <= current && (dense || block < first || block >= end);
        unsigned word = __ballot_sync(ALL_LANES, forced || taken >> i & 1);
        if (lane == 0 && i < words) selected[i] = word;
    }
}

// Selects for every query and KV head.
//
// scores f32 [count][kv_heads][blocks_pad] of prefill_scores, null in mode dma; selected u32 [count][kv_heads][words]:
// bit b % 32 of word b / 32 is block b. words <= 64 (131,072 tokens) and 32 * words > the last query's block; not for
// mode full.
// Grid: (ceil(count / 32), kv_heads); block: 256; dynamic shared memory: 128 * words bytes, the pooled importance of
// every block. Reads blocks * 4 bytes a query and head.
extern "C" __global__ void __launch_bounds__(32 * SELECT_WARPS) prefill_select(
    KvCache kv, int layer, int row, int start, int count, const float* scores, int blocks_pad, unsigned* selected,
    int words) {
    extern __shared__ float importance[];
    const int head = blockIdx.y;
    const int first = blockIdx.x * SELECT_QUERIES, last = min(first + SELECT_QUERIES, count) - 1;
    if (kv.has_importance()) {
        // Of blocks before all local ones; every query that may choose one sees all its windows, and the pools are
        // alike.
        int size = BLOCK_TOKENS / kv.stride;
        int end = (start + last) / BLOCK_TOKENS - kv.local_blocks;
        for (int block = threadIdx.x; block < end; block += blockDim.x) {
            const float* own = kv.window_importance(row, layer, head, block * size);
            float top = block > 0 ? *kv.window_importance(row, layer, head, block * size - 1) : -INFINITY;
            for (int w = 0; w < size; w++) top = fmaxf(top, own[w]);
            importance[block] = top;
        }
    }
    __syncthreads();
    for (int query = first + threadIdx.x / 32; query <= last; query += SELECT_WARPS) {
        long long list = (long long)query * kv.kv_heads + head;
        const float* own = scores + list * blocks_pad;
        unsigned* target = selected + list * words;
        if (words <= 8) select_blocks<8>(kv, start + query, own, importance, target, words);
        else if (words <= 16) select_blocks<16>(kv, start + query, own, importance, target, words);
        else if (words <= 32) select_blocks<32>(kv, start + query, own, importance, target, words);
        else select_blocks<64>(kv, start + query, own, importance, target, words);
    }
}

// Makes the lists of prefill_attention: for each of its tiles, which are TILE_ROWS / group queries of one KV head, the
// blocks that any query selected, ascending; masks[n] says which: bit i of its word w is query i of warp w.
//
// lists [tiles][kv_heads][blocks_pad], masks [tiles][kv_heads][blocks_pad], lengths [tiles][kv_heads], with tiles =
// ceil(count / (128 / group)); nothing is written for tiles whose queries are all dense.
// Grid: (tiles, kv_heads); block: 128. Reads words * 4 bytes a query and head, writes 32 bytes a listed block.
extern "C" __global__ void __launch_bounds__(UNION_THREADS) prefill_union(
    KvCache kv, int layer, int row, int start, int count, const unsigned* selected, int words, ListedBlock* lists,
    uint4* masks, int* lengths, int blocks_pad) {
    __shared__ unsigned any[UNION_THREADS];
    __shared__ int before[UNION_THREADS];  // listed blocks of earlier words
    __shared__ int warp_total[UNION_THREADS / 32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, head = blockIdx.y;
    const int capacity = TILE_ROWS / kv.group();
    const int first = blockIdx.x * capacity, queries = min(capacity, count - first);
    if (kv.is_dense(start + first + queries - 1)) return;
    const unsigned* own = selected + ((long long)first * kv.kv_heads + head) * words;
    const int pitch = kv.kv_heads * words;

    unsigned bits = 0;
    for (int query = 0; query < queries && threadIdx.x < words; query++) bits |= own[query * pitch + threadIdx.x];
    int sum = __popc(bits);
    for (int distance = 1; distance < 32; distance *= 2) {
        int lower = __shfl_up_sync(ALL_LANES, sum, distance);
        sum += lane >= distance ? lower : 0;
    }
    if (lane == 31) warp_total[warp] = sum;
    __syncthreads();
    for (int w = 0; w < warp; w++) sum += warp_total[w];
    any[threadIdx.x] = bits;
    before[threadIdx.x] = sum - __popc(bits);
    const long long list = (long long)blockIdx.x * kv.kv_heads + head;
    if (threadIdx.x == UNION_THREADS - 1) lengths[list] = sum;
    __syncthreads();

    for (int word = warp; word < words; word += UNION_THREADS / 32) {
        if (!(any[word] >> lane & 1)) continue;
        long long at = list * blocks_pad + before[word] + __popc(any[word] & ((1u << lane) - 1));
        unsigned mask[PREFILL_WARPS] = {};
#pragma unroll
        for (int w = 0; w < PREFILL_WARPS; w++) {
            int from = warp_first_query(w, kv.group()), to = min(warp_last_query(w, kv.group()), queries - 1);
            for (int query = from; query <= to; query++) {
                mask[w] |= (own[query * pitch + word] >> lane & 1) << (query - from);
            }
        }
        lists[at] = list_block(kv, layer, row, head, 32 * word + lane);
        masks[at] = make_uint4(mask[0], mask[1], mask[2], mask[3]);
    }
}
