// Both KV tiers as the kernels see them, passed by value. Java packs the fields in this order (CudaKvStore).
#pragma once
#include <cuda_bf16.h>

constexpr int BLOCK_TOKENS = 64;  // tokens of a KV block, page or slot

enum Mode { FULL = 0, INFLLM_V2 = 1, DMA = 2, NOSA = 3 };

struct KvCache {
    char* pages;                      // [page][layer][kv_head][K, V][64][D] bf16; or, as a state page, in each
                                      // [layer][kv_head]: compressed keys [windows_per_page][D] bf16, importance of
                                      // every token [state_tokens] f32, mean importance of every window f32
    const unsigned long long* slabs;  // device addresses of the pinned slabs
    const int* host_blocks;           // [row][max_blocks]
    const int* page_table;            // [row][max_pages]: page of each slot, in prefill of each block
    const int* state_pages;           // [row][max_state_pages]
    int* slot_block;                  // [row][layer * kv_heads + head][max_slots]: block in each slot, or -1
    int* slot_used;                   // the same: clock of the last use
    const int* row_slots;             // [row]: slots that the row owns, at most max_slots
    long long page_bytes;
    int layers, kv_heads, heads, head_dim;
    int max_blocks, max_pages, max_slots, max_state_pages, blocks_per_slab;
    int window, stride, init_blocks, local_blocks;
    int topk, query_cut, mode, dense_length;
    int state_tokens;                 // tokens of a state page, a multiple of 64: as many as fit

    __device__ int group() const { return heads / kv_heads; }
    __device__ int windows_per_page() const { return state_tokens / stride; }
    __device__ bool has_importance() const { return mode == DMA || mode == NOSA; }
    __device__ bool has_query_scores() const { return mode == INFLLM_V2 || mode == NOSA; }

    // Windows that are complete once `tokens` tokens exist.
    __device__ int windows(int tokens) const { return tokens < window ? 0 : (tokens - window) / stride + 1; }

    __device__ int budget(int position) const {
        return position < dense_length ? max(topk, position / BLOCK_TOKENS + 1) : topk;
    }

    // Whether a query attends all causal blocks whatever their scores.
    __device__ bool is_dense(int position) const {
        return mode == FULL || position / BLOCK_TOKENS + 1 <= budget(position);
    }

    // K of one page, layer and head; V follows after 64 * D elements.
    __device__ __nv_bfloat16* page_keys(int page, int layer, int head) const {
        long long at = page * page_bytes + (layer * kv_heads + head) * head_bytes();
        return reinterpret_cast<__nv_bfloat16*>(pages + at);
    }

    __device__ __nv_bfloat16* slot_keys(int row, int slot, int layer, int head) const {
        return page_keys(page_table[row * max_pages + slot], layer, head);
    }

    __device__ char* host_keys(int row, int block, int layer, int head) const {
        int n = host_blocks[row * max_blocks + block];
        long long at = (n % blocks_per_slab) * page_bytes + (layer * kv_heads + head) * head_bytes();
        return reinterpret_cast<char*>(slabs[n / blocks_per_slab]) + at;
    }

    __device__ long long head_bytes() const { return 4LL * BLOCK_TOKENS * head_dim; }

    // What a state page holds for one layer and head.
    __device__ __nv_bfloat16* state(int row, int state_page, int layer, int head) const {
        return page_keys(state_pages[row * max_state_pages + state_page], layer, head);
    }

    // Compressed key of window w; those of the same state page (w / windows_per_page()) lie behind one another.
    __device__ __nv_bfloat16* window_key(int row, int layer, int head, int w) const {
        int n = windows_per_page();
        return state(row, w / n, layer, head) + (w % n) * head_dim;
    }

    // cis of a token; those of the same state page (position / state_tokens) lie behind one another.
    __device__ float* token_importance(int row, int layer, int head, int position) const {
        __nv_bfloat16* page = state(row, position / state_tokens, layer, head);
        return reinterpret_cast<float*>(page + windows_per_page() * head_dim) + position % state_tokens;
    }

    // cc of window w; those of the same state page lie behind one another.
    __device__ float* window_importance(int row, int layer, int head, int w) const {
        int n = windows_per_page();
        __nv_bfloat16* page = state(row, w / n, layer, head);
        return reinterpret_cast<float*>(page + n * head_dim) + state_tokens + w % n;
    }

    __device__ long long slots_of(int row, int layer, int head) const {
        return ((long long)row * layers * kv_heads + layer * kv_heads + head) * max_slots;
    }
};
