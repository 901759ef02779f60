// Selects the blocks of one token of each of B sequences and gives each a slot (specification, section 2, steps 4 to 7,
// and section 4), exactly as BlockSelection and SlotTable.fetch.
//
// A selected block that lies in a slot stays there. The others, ascending, take the slots that were unused longest, the
// lowest among equals, and go to the worklist of gather. Clocks: decode_append 2 * position + 1, this 2 * position + 2.
#include "decode_common.cuh"

constexpr int SELECT_THREADS = 512;
constexpr int SELECT_WARPS = SELECT_THREADS / WARP_LANES;
constexpr int OWN = MAX_BLOCKS / SELECT_THREADS;  // blocks, or slots, of a thread
constexpr int WORDS = MAX_BLOCKS / 32;            // of a set of blocks: bit b % 32 of word b / 32 is block b
constexpr unsigned IN_USE = 0xffffffff;
constexpr unsigned TOP_SLOT_BIT = 2u * MAX_BLOCKS * BLOCK_TOKENS * MAX_SLOTS;  // of a slot's key: clocks end at 2 * tokens
constexpr unsigned KEPT = 0x9e3779b9, DRAWN = 0x85ebca6b;  // seeds of the two draws

// A random selection in place of the real one, to measure what traffic costs: of the blocks that the last step selected
// and that are not forced, all but `blocks` stay, and as many others come in as it takes. Off where blocks is negative.
struct Turnover {
    int blocks;
    unsigned seed;
};

struct Selection {
    unsigned first_key[MAX_BLOCKS];  // of every block, for the first cut, and for what the first cut leaves
    unsigned second_key[MAX_BLOCKS];
    unsigned slot_key[MAX_SLOTS];    // clock and slot; IN_USE where the slot stays
    short slot_block[MAX_SLOTS];
    short slot_of[MAX_BLOCKS];       // of blocks that stay
    short missing[MAX_BLOCKS];
    float2 head_scale[GROUP_ROWS];   // of each query head's softmax: the largest logit, 1 / sum
    unsigned chosen[WORDS];          // sets: all selected blocks, those of them that stay,
    unsigned resident[WORDS];
    unsigned equal[WORDS];           // and those with the smallest key of a cut
    short hits_before[WORDS];        // in lower words
    short missing_before[WORDS];
    int hits, misses, previous, work, gives;
    int counters[3];
};

// The thread's blocks, or slots: neighbouring threads have neighbouring ones, a warp those of one word.
__device__ __forceinline__ int own(int i) { return threadIdx.x + i * SELECT_THREADS; }

__device__ __forceinline__ bool contains(const unsigned* set, int block) { return set[block / 32] >> block % 32 & 1; }

__device__ __forceinline__ int lower_bits(unsigned word, int block) { return __popc(word & ((1u << block % 32) - 1)); }

__device__ __forceinline__ bool is_forced(const KvCache& kv, int block, int current) {
    return block < kv.init_blocks || block >= current - kv.local_blocks;
}

// Combines the parts of each query head's softmax, a head to a warp.
__device__ __forceinline__ void combine_softmax(Selection& s, const float2* partial, int splits, int group) {
    const int lane = threadIdx.x % WARP_LANES;
    for (int query = threadIdx.x / WARP_LANES; query < group; query += SELECT_WARPS) {
        float top = NO_SCORE, sum = 0;
        for (int i = lane; i < splits; i += WARP_LANES) top = fmaxf(top, partial[i * group + query].x);
        for (int distance = 16; distance > 0; distance /= 2) {
            top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, distance));
        }
        for (int i = lane; i < splits; i += WARP_LANES) {
            float2 part = partial[i * group + query];
            sum += part.y * exp2_approx(part.x - top);
        }
        sum = warp_sum(sum);
        if (lane == 0) s.head_scale[query] = make_float2(top, 1 / sum);
    }
}

// Scores of windows: over the query heads, the sum of their softmax. Each goes to the blocks whose pool it is in: its
// own and, if it is the last that begins there, the next.
__device__ __forceinline__ void pool_queries(
    const KvCache& kv, Selection& s, const float* logits, int max_windows, int windows, int current) {
    const int group = kv.group(), size = BLOCK_TOKENS / kv.stride;
    for (int pair = 2 * threadIdx.x; pair < windows; pair += 2 * SELECT_THREADS) {
        float score[2] = {};
#pragma unroll 8
        for (int query = 0; query < group; query++) {
            float2 x = *reinterpret_cast<const float2*>(logits + query * max_windows + pair);
            float2 scale = s.head_scale[query];
            score[0] += exp2_approx(fmaxf(x.x - scale.x, SCORE_FLOOR * LOG2E)) * scale.y;
            score[1] += exp2_approx(fmaxf(x.y - scale.x, SCORE_FLOOR * LOG2E)) * scale.y;
        }
        for (int w = pair; w < min(pair + 2, windows); w++) {
            unsigned key = score_key(score[w - pair]);
            atomicMax(&s.first_key[w / size], key);
            if (w % size == size - 1 && w / size < current) atomicMax(&s.first_key[w / size + 1], key);
        }
    }
}

// The same for the importance of windows.
__device__ __forceinline__ void pool_importance(
    const KvCache& kv, Selection& s, int row, int layer, int head, int windows, int current) {
    const int size = BLOCK_TOKENS / kv.stride;
#pragma unroll 4
    for (int w = threadIdx.x; w < windows; w += SELECT_THREADS) {
        unsigned key = score_key(*kv.window_importance(row, layer, head, w));
        atomicMax(&s.second_key[w / size], key);
        if (w % size == size - 1 && w / size < current) atomicMax(&s.second_key[w / size + 1], key);
    }
}

// A random key that is not 0.
__device__ __forceinline__ unsigned draw(unsigned seed, int row, int layer, int head, int position, int block) {
    unsigned x = seed;
    for (int part : {row, layer, head, position, block}) {
        x = (x ^ part) * 0xcc9e2d51;
        x = (x ^ x >> 15) * 0x2c1b3c6d;
        x ^= x >> 13;
    }
    return x | 1;
}

// Other keys in place of the real ones: for the first cut those of the blocks that the last step selected, for the second
// those of all others.
__device__ __forceinline__ void draw_keys(
    const KvCache& kv, Selection& s, Turnover turnover, int row, int layer, int head, int position, int slots) {
    const int current = position / BLOCK_TOKENS;
    for (int b = threadIdx.x; b <= current; b += SELECT_THREADS) {
        s.first_key[b] = 0;
        s.second_key[b] = draw(turnover.seed ^ DRAWN, row, layer, head, position, b);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < slots; i += SELECT_THREADS) {
        int b = s.slot_block[i];
        if (b < 0 || s.slot_key[i] / MAX_SLOTS != 2 * position || is_forced(kv, b, current)) continue;
        s.first_key[b] = draw(turnover.seed ^ KEPT, row, layer, head, position, b);
        s.second_key[b] = 0;
        atomicAdd(&s.previous, 1);
    }
}

// Adds up over the thread block. `round` counts the calls, which take turns with three counters: one is added to, one may
// still be read, and one becomes 0.
__device__ __forceinline__ int block_sum(Selection& s, int x, int& round) {
    int sum = __reduce_add_sync(ALL_LANES, x);
    if (threadIdx.x == 0) s.counters[(round + 1) % 3] = 0;
    if (threadIdx.x % WARP_LANES == 0) atomicAdd(&s.counters[round % 3], sum);
    __syncthreads();
    return s.counters[round++ % 3];
}

// A bound for the `wanted` largest keys of the thread block: so many keys, returned as `reached`, are not below it. Those
// are `wanted`, or more if the smallest of them, which then are the bound, are equal. At least `wanted` keys are not 0. A
// search one bit at a time, that ends when the rest of the bits decides nothing.
__device__ __forceinline__ unsigned largest_from(
    Selection& s, const unsigned (&key)[OWN], int wanted, unsigned top_bit, int& reached, int& round) {
    unsigned bound = 0;
    for (unsigned bit = top_bit; bit != 0; bit >>= 1) {
        int mine = 0;
#pragma unroll
        for (int i = 0; i < OWN; i++) mine += key[i] >= (bound | bit);
        int count = block_sum(s, mine, round);
        if (count >= wanted) {
            bound |= bit;
            reached = count;
        }
        if (count == wanted) break;
    }
    return bound;
}

// Adds the blocks of the `wanted` largest keys to the chosen ones, the lowest block first among equals. key[i] is that of
// block own(i), 0 for blocks that cannot be taken.
__device__ __forceinline__ void take_largest(Selection& s, const unsigned (&key)[OWN], int wanted, int& round) {
    if (wanted <= 0) return;
    const int lane = threadIdx.x % WARP_LANES;
    int reached = 0;
    const unsigned bound = largest_from(s, key, wanted, 0x80000000, reached, round);
    if (reached > wanted) {
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            unsigned equal = __ballot_sync(ALL_LANES, key[i] == bound);
            if (lane == 0) s.equal[own(i) / 32] = equal;
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        bool taken = key[i] >= bound;
        if (reached > wanted && key[i] == bound) {
            int higher = __popc(s.equal[own(i) / 32] >> lane);  // equal blocks from this one on
            for (int w = own(i) / 32 + 1; w < WORDS; w++) higher += __popc(s.equal[w]);
            taken = higher > reached - wanted;
        }
        unsigned word = __ballot_sync(ALL_LANES, taken);
        if (lane == 0) s.chosen[own(i) / 32] |= word;
    }
}

// Both cuts: the `first` blocks of the largest first keys and the `second` of the largest second keys join the forced ones.
__device__ __forceinline__ void choose(const KvCache& kv, Selection& s, int current, int first, int second, int& round) {
    unsigned key[OWN];
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        bool forced = own(i) <= current && is_forced(kv, own(i), current);
        unsigned word = __ballot_sync(ALL_LANES, forced);
        if (threadIdx.x % WARP_LANES == 0) s.chosen[own(i) / 32] = word;
        key[i] = own(i) <= current && !forced ? s.first_key[own(i)] : 0;
    }
    take_largest(s, key, first, round);
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        __syncwarp();  // own(i)'s word of the chosen ones is this warp's
        bool free = own(i) <= current && !contains(s.chosen, own(i));
        key[i] = free ? s.second_key[own(i)] : 0;
    }
    take_largest(s, key, second, round);
}

// row and position int [B]; logits, max_windows, partial and splits as in decode_scores, not read in mode dma. selected
// and blocks int [B][kv_heads][max_selected]: slot and number of each selected block, those that lay in a slot first, each
// part ascending by block; hits and count int [B][kv_heads]: of that part, of all. worklist {b, head, block, slot}, at
// worst B * kv_heads * max_selected; worklist_count, 0 before. counters [B][2]: selected and missed blocks, added to.
// Nothing is written for padding (row -1).
// Grid: (kv_heads, B); block: 512. Reads windows * (group + 1) * 4 bytes and row_slots * 8.
extern "C" __global__ void __launch_bounds__(SELECT_THREADS, 2) decode_select(
    KvCache kv, int layer, const int* rows, const int* positions, const float* logits, int max_windows,
    const float2* partial, int splits, int* selected, int* blocks, int max_selected, int* hits, int* count,
    int4* worklist, int* worklist_count, unsigned long long* counters, Turnover turnover) {
    __shared__ Selection s;
    const int head = blockIdx.x, row = rows[blockIdx.y];
    const int lane = threadIdx.x % WARP_LANES, warp = threadIdx.x / WARP_LANES;
    if (row < 0) return;
    const int position = positions[blockIdx.y], current = position / BLOCK_TOKENS, clock = 2 * position + 2;
    const int slots = kv.row_slots[row], list = blockIdx.y * kv.kv_heads + head;
    const bool dense = kv.is_dense(position), random = turnover.blocks >= 0;
    const bool by_query = kv.has_query_scores(), by_importance = kv.has_importance();
    int* slot_block = kv.slot_block + kv.slots_of(row, layer, head);
    int* slot_used = kv.slot_used + kv.slots_of(row, layer, head);

    for (int i = threadIdx.x; i < slots; i += SELECT_THREADS) {
        s.slot_block[i] = slot_block[i];
        s.slot_key[i] = slot_used[i] * MAX_SLOTS + i;
    }
    for (int b = threadIdx.x; b <= current; b += SELECT_THREADS) {
        s.first_key[b] = by_query ? score_key(0) : 0;
        s.second_key[b] = score_key(-INFINITY);
    }
    if (threadIdx.x < WORDS) {
        int left = current + 1 - 32 * threadIdx.x;  // blocks of this word and behind it
        s.chosen[threadIdx.x] = !dense || left <= 0 ? 0 : left < 32 ? (1u << left) - 1 : ~0u;
        s.resident[threadIdx.x] = 0;
    }
    if (threadIdx.x == 0) s.previous = s.gives = 0;
    if (threadIdx.x < 3) s.counters[threadIdx.x] = 0;
    int round = 0;
    if (!dense && by_query) combine_softmax(s, partial + (long long)list * splits * kv.group(), splits, kv.group());
    __syncthreads();
    if (!dense) {
        int windows = kv.windows(position + 1);
        if (by_query) {
            const float* list_logits = logits + (long long)list * kv.group() * max_windows;
            pool_queries(kv, s, list_logits, max_windows, windows, current);
        }
        if (by_importance) pool_importance(kv, s, row, layer, head, windows, current);
        __syncthreads();
        if (random) {
            draw_keys(kv, s, turnover, row, layer, head, position, slots);
            __syncthreads();
        }
        const int others = current - kv.local_blocks - kv.init_blocks;  // blocks that are not forced
        const int wanted = kv.topk - (current + 1 - others);
        int first = 0;
        if (by_query) first = max(0, wanted - (by_importance ? kv.topk - kv.query_cut : 0));
        if (random) {
            int kept = max(0, min(s.previous, wanted) - turnover.blocks);
            first = max(kept, wanted - (others - s.previous));
        }
        choose(kv, s, current, first, wanted - first, round);
        __syncthreads();
    }

    for (int i = threadIdx.x; i < slots; i += SELECT_THREADS) {
        int b = s.slot_block[i];
        if (b < 0 || !contains(s.chosen, b)) continue;
        slot_used[i] = clock;
        s.slot_key[i] = IN_USE;
        s.slot_of[b] = i;
        atomicOr(&s.resident[b / 32], 1u << b % 32);
    }
    __syncthreads();
    if (warp == 0) {
        int all_hits = 0, all_misses = 0;
        for (int w = lane; w < WORDS; w += WARP_LANES) {
            int stay = __popc(s.resident[w]), come = __popc(s.chosen[w] & ~s.resident[w]);
            int hits_to = stay, misses_to = come;  // with those of the lanes below
            for (int distance = 1; distance < WARP_LANES; distance *= 2) {
                int h = __shfl_up_sync(ALL_LANES, hits_to, distance);
                int m = __shfl_up_sync(ALL_LANES, misses_to, distance);
                if (lane >= distance) {
                    hits_to += h;
                    misses_to += m;
                }
            }
            s.hits_before[w] = all_hits + hits_to - stay;
            s.missing_before[w] = all_misses + misses_to - come;
            all_hits += __shfl_sync(ALL_LANES, hits_to, WARP_LANES - 1);
            all_misses += __shfl_sync(ALL_LANES, misses_to, WARP_LANES - 1);
        }
        if (lane == 0) {
            s.hits = hits[list] = all_hits;
            s.misses = all_misses;
            count[list] = all_hits + all_misses;
            s.work = all_misses > 0 ? atomicAdd(worklist_count, all_misses) : 0;
            atomicAdd(&counters[2 * blockIdx.y], (unsigned long long)(all_hits + all_misses));
            atomicAdd(&counters[2 * blockIdx.y + 1], (unsigned long long)all_misses);
        }
    }
    __syncthreads();

    selected += (long long)list * max_selected;
    blocks += (long long)list * max_selected;
    for (int b = threadIdx.x; b <= current; b += SELECT_THREADS) {
        if (contains(s.resident, b)) {
            int at = s.hits_before[b / 32] + lower_bits(s.resident[b / 32], b);
            selected[at] = s.slot_of[b];
            blocks[at] = b;
        } else if (contains(s.chosen, b)) {
            s.missing[s.missing_before[b / 32] + lower_bits(s.chosen[b / 32] & ~s.resident[b / 32], b)] = b;
        }
    }
    __syncthreads();
    if (s.misses == 0) return;
    unsigned age[OWN];  // the older, the larger
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        bool free = own(i) < slots && s.slot_key[own(i)] != IN_USE;
        age[i] = free ? 2 * TOP_SLOT_BIT - 1 - s.slot_key[own(i)] : 0;
    }
    int reached;
    const unsigned youngest = largest_from(s, age, s.misses, TOP_SLOT_BIT, reached, round);
    unsigned* given = s.first_key;  // keys of the slots that are given away
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        if (age[i] >= youngest) given[atomicAdd(&s.gives, 1)] = s.slot_key[own(i)];
    }
    __syncthreads();
    for (int n = threadIdx.x; n < s.misses; n += SELECT_THREADS) {
        const unsigned key = given[n];
        int rank = 0;
        for (int other = 0; other < s.misses; other++) rank += given[other] < key;
        int b = s.missing[rank], slot = key % MAX_SLOTS;
        slot_block[slot] = b;
        slot_used[slot] = clock;
        selected[s.hits + rank] = slot;
        blocks[s.hits + rank] = b;
        worklist[s.work + rank] = make_int4(blockIdx.y, head, b, slot);
    }
}
