// Attention of one token of each of B sequences over the blocks in its slots.
//
// out = softmax(q . k / sqrt(D) + cis) v over the tokens t <= position of the selected blocks (specification, section 2,
// step 8); no cis in modes full and infllm_v2.
//
// A thread block computes one split, a range of the selected blocks of one token and KV head. The query heads of the
// group are the 16 rows of the products. Of each block warp w takes the tokens 16 * w to 16 * w + 15: it copies their K
// and V for itself, some stages ahead, and keeps a softmax and an output of its own, so that warps wait for each other
// only at the end. Then their outputs are added up and become the split's partial output. The last thread block of a
// token and head that is done, in whichever launch, combines the partial outputs of all splits; it adds them in their
// order, so that the result does not depend on who is last.
//
// Several launches can share the splits and run at the same time: part 0 the blocks that were resident, part 1 those
// that gather brings; or one launch takes part 2, all blocks. split_offset is the launch's first split, and the splits of
// all launches (gridDim.x of each) are splits_total together.
//
// The softmax is in base 2; its exponents are relative to a reference that is raised only when a score surpasses it by
// SLACK. Bytes in flight: 2 of 3 stages of 256 * D bytes a thread block (D = 64: 3 of 4), two of them (three) to an SM.
#include "prefill_common.cuh"

constexpr int DECODE_WARPS = 4;
constexpr int DECODE_THREADS = 32 * DECODE_WARPS;
constexpr int HEAD_ROWS = 16;       // of the products; rows from the group's size on are zero
constexpr int WARP_TOKENS = BLOCK_TOKENS / DECODE_WARPS;
constexpr int MERGE_PAD = 8;        // floats behind an output's row in shared memory: the rows lie in different banks
constexpr int COMBINE_SPLITS = 4;
constexpr float SLACK = 8;          // powers of two
constexpr float LOWEST = -1e30f;    // below every score, and finite

enum Part { RESIDENT = 0, FETCHED = 1, ALL_PARTS = 2 };

template <int D>
constexpr int DECODE_STAGES = D == 128 ? 3 : 4;

// Where the splits leave their results.
struct Partials {
    float* outputs;  // [B][kv_heads][splits_total][group][D], relative to the maximum
    float2* sums;    // [B][kv_heads][splits_total][group]: maximum in powers of two; sum, 0 of an empty split
    int* arrived;    // [B][kv_heads]: splits that are done. 0 before and after
    int splits_total;
};

// A selected block.
struct Entry {
    const bf16* keys;
    const float* importance;  // cis of its tokens; null in modes without
    int block;

    __device__ Entry() : keys(nullptr), importance(nullptr), block(0) {}

    __device__ Entry(const KvCache& kv, int layer, int row, int head, int slot, int block)
        : keys(kv.slot_keys(row, slot, layer, head)),
          importance(
              kv.has_importance() ? kv.token_importance(row, layer, head, block * BLOCK_TOKENS) : nullptr),
          block(block) {}

    // That of another lane.
    __device__ Entry of_lane(int lane) const {
        Entry other;
        other.keys = reinterpret_cast<const bf16*>(
            __shfl_sync(ALL_LANES, reinterpret_cast<unsigned long long>(keys), lane));
        other.importance = reinterpret_cast<const float*>(
            __shfl_sync(ALL_LANES, reinterpret_cast<unsigned long long>(importance), lane));
        other.block = __shfl_sync(ALL_LANES, block, lane);
        return other;
    }
};

// A warp's tokens of one stage: K, then V; importance lies elsewhere.
template <int D>
struct WarpTile {
    static constexpr int BYTES = WARP_TOKENS * D * 2;
    static constexpr int PIECES = D * 2 / COPY_BYTES;  // of a row
    static constexpr int ROWS = 32 / PIECES;           // that the warp copies at a time

    // Rows from `visible` on become zero: what lies there may be no numbers, and a numerator of 0 would not rid us of them.
    __device__ static void copy(unsigned target, const bf16* keys, int visible) {
        int lane = threadIdx.x % 32, row = lane / PIECES, piece = lane % PIECES;
        const bf16* source = keys + row * D + piece * (COPY_BYTES / 2);
        target += row * D * 2 + (piece ^ row) * COPY_BYTES;
#pragma unroll
        for (int side = 0; side < 2; side++) {
#pragma unroll
            for (int i = 0; i < WARP_TOKENS / ROWS; i++) {
                unsigned place = (target ^ (i * ROWS % 8 * COPY_BYTES)) + i * ROWS * D * 2;
                copy_async(
                    place + side * BYTES, source + side * BLOCK_TOKENS * D + i * ROWS * D, row + i * ROWS < visible);
            }
        }
    }
};

// Softmax and output so far of a lane's rows lane / 4 + 8 * h, over the warp's tokens.
template <int D>
struct HeadRows {
    float reference[2];  // of the exponents, in units of a product
    float sum[2];        // of the numerators in this lane's columns
    float output[D / 8][4];

    __device__ HeadRows() : reference{LOWEST, LOWEST}, sum{} {
#pragma unroll
        for (int n = 0; n < D / 8; n++) output[n][0] = output[n][1] = output[n][2] = output[n][3] = 0;
    }

    // Raises the references of rows with a score more than SLACK above it.
    __device__ __forceinline__ void raise(const float (&scores)[2][4], float scale) {
        float highest[2];
        bool any = false;
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float top = fmaxf(fmaxf(scores[0][2 * h], scores[0][2 * h + 1]), fmaxf(scores[1][2 * h], scores[1][2 * h + 1]));
            top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, 1));
            top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, 2));
            bool above = (top - reference[h]) * scale > SLACK;
            highest[h] = above ? top : reference[h];
            any |= above;
        }
        if (!__any_sync(ALL_LANES, any)) return;
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float shrink = exp2_approx((reference[h] - highest[h]) * scale);
            reference[h] = highest[h];
            sum[h] *= shrink;
#pragma unroll
            for (int n = 0; n < D / 8; n++) {
                output[n][2 * h] *= shrink;
                output[n][2 * h + 1] *= shrink;
            }
        }
    }

    // Adds the tokens of a tile, of which `visible` count.
    __device__ __forceinline__ void add(
        const Matrix (&queries)[D / 16], unsigned tile, const float* importance, int visible, float scale) {
        const int lane = threadIdx.x % 32, column = lane % 4 * 2;
        float scores[2][4];
#pragma unroll
        for (int n = 0; n < 2; n++) {
            float2 cis = *reinterpret_cast<const float2*>(importance + n * 8 + column);
            scores[n][0] = scores[n][2] = cis.x * sqrtf(D);
            scores[n][1] = scores[n][3] = cis.y * sqrtf(D);
        }
        const unsigned keys = tile + right_offset<D>(lane);
#pragma unroll
        for (int k = 0; k < D / 16; k++) {
            Matrix key = load_matrix(keys ^ (k * 32));
            multiply_add(scores[0], queries[k], key.r[0], key.r[1]);
            multiply_add(scores[1], queries[k], key.r[2], key.r[3]);
        }
        if (visible < WARP_TOKENS) {
#pragma unroll
            for (int i = 0; i < 8; i++) {
                bool seen = i / 4 * 8 + column + i % 2 < visible;
                scores[i / 4][i % 4] = seen ? scores[i / 4][i % 4] : -INFINITY;
            }
        }
        raise(scores, scale);
        Matrix numerators;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int h = i % 2;
            const float* s = &scores[i / 2][2 * h];
            float low = exp2_approx(fmaf(s[0], scale, -reference[h] * scale));
            float high = exp2_approx(fmaf(s[1], scale, -reference[h] * scale));
            sum[h] += low + high;
            numerators.r[i] = pack_bf16(low, high);
        }
        const unsigned values = tile + WarpTile<D>::BYTES + left_offset<D>(lane);
#pragma unroll
        for (int n = 0; n < D / 16; n++) {
            Matrix v = load_transposed(values ^ (n * 32));
            multiply_add(output[2 * n], numerators, v.r[0], v.r[1]);
            multiply_add(output[2 * n + 1], numerators, v.r[2], v.r[3]);
        }
    }
};

// The group's queries as left operands.
template <int D>
__device__ __forceinline__ void load_heads(Matrix (&queries)[D / 16], const bf16* q, int group) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int r = lane / 4 + i % 2 * 8;
        const unsigned* source = reinterpret_cast<const unsigned*>(q + r * D + i / 2 * 8) + lane % 4;
#pragma unroll
        for (int k = 0; k < D / 16; k++) queries[k].r[i] = r < group ? source[k * 8] : 0;
    }
}

__device__ __forceinline__ void add_scaled(float4& sum, const float4& x, float factor) {
    sum.x = fmaf(x.x, factor, sum.x);
    sum.y = fmaf(x.y, factor, sum.y);
    sum.z = fmaf(x.z, factor, sum.z);
    sum.w = fmaf(x.w, factor, sum.w);
}

__device__ __forceinline__ void store_quotient(bf16* target, const float4& x, float divisor) {
    float factor = 1 / divisor;
    *reinterpret_cast<uint2*>(target) =
        make_uint2(pack_bf16(x.x * factor, x.y * factor), pack_bf16(x.z * factor, x.w * factor));
}

// Adds up the warps' rows and writes them: into out if this is the only split, else as the split's partial output.
template <int D>
__device__ __forceinline__ void merge_warps(
    HeadRows<D>& rows, char* shared, int group, float scale, bool only, float* partial, float2* partial_sums, bf16* out) {
    constexpr int PITCH = D + MERGE_PAD;
    __shared__ float2 sums[DECODE_WARPS][HEAD_ROWS];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float* outputs = reinterpret_cast<float*>(shared);  // [DECODE_WARPS][HEAD_ROWS][PITCH]
    __syncthreads();                                    // all are done with their tiles
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float sum = rows.sum[h];
        sum += __shfl_xor_sync(ALL_LANES, sum, 1);
        sum += __shfl_xor_sync(ALL_LANES, sum, 2);
        int r = lane / 4 + 8 * h;
        if (lane % 4 == 0) sums[warp][r] = make_float2(rows.reference[h] * scale, sum);
        float* own = outputs + (warp * HEAD_ROWS + r) * PITCH + lane % 4 * 2;
#pragma unroll
        for (int n = 0; n < D / 8; n++) {
            *reinterpret_cast<float2*>(own + n * 8) = make_float2(rows.output[n][2 * h], rows.output[n][2 * h + 1]);
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < group * D / 4; i += DECODE_THREADS) {
        int r = i / (D / 4), column = i % (D / 4) * 4;
        float top = LOWEST, sum = 0;
        for (int w = 0; w < DECODE_WARPS; w++) top = fmaxf(top, sums[w][r].x);
        float4 x = make_float4(0, 0, 0, 0);
        for (int w = 0; w < DECODE_WARPS; w++) {
            float factor = exp2_approx(sums[w][r].x - top);
            sum = fmaf(sums[w][r].y, factor, sum);
            add_scaled(x, *reinterpret_cast<const float4*>(outputs + (w * HEAD_ROWS + r) * PITCH + column), factor);
        }
        if (only) {
            store_quotient(out + r * D + column, x, sum);
        } else {
            *reinterpret_cast<float4*>(partial + r * D + column) = x;
            if (column == 0) partial_sums[r] = make_float2(top, sum);
        }
    }
}

// Whether this thread block is the last of its token and head; all threads have written their partial results.
__device__ __forceinline__ bool is_last(int* arrived, int splits_total) {
    __shared__ bool last;
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        last = atomicAdd(arrived, 1) == splits_total - 1;
        if (last) {
            *arrived = 0;  // for the next layer
            __threadfence();
        }
    }
    __syncthreads();
    return last;
}

// Combines the splits of one token and head. All loads of COMBINE_SPLITS splits are under way at a time.
template <int D>
__device__ __forceinline__ void combine(
    char* shared, int group, int splits_total, const float* partial, const float2* partial_sums, bf16* out) {
    constexpr int VECTORS = HEAD_ROWS * D / 4 / DECODE_THREADS;  // of a thread
    float2* sums = reinterpret_cast<float2*>(shared);            // [splits_total][group]
    for (int i = threadIdx.x; i < splits_total * group; i += DECODE_THREADS) sums[i] = __ldcg(partial_sums + i);
    __syncthreads();
    const float4* source = reinterpret_cast<const float4*>(partial);
    const int vectors = group * D / 4;
    float4 x[VECTORS];
    float top[VECTORS], sum[VECTORS];
    int at[VECTORS], row[VECTORS];
#pragma unroll
    for (int i = 0; i < VECTORS; i++) {
        at[i] = min(int(threadIdx.x) + i * DECODE_THREADS, vectors - 1);
        row[i] = at[i] / (D / 4);
        x[i] = make_float4(0, 0, 0, 0);
        top[i] = LOWEST;
        sum[i] = 0;
        for (int s = 0; s < splits_total; s++) top[i] = fmaxf(top[i], sums[s * group + row[i]].x);
    }
#pragma unroll COMBINE_SPLITS
    for (int s = 0; s < splits_total; s++) {
#pragma unroll
        for (int i = 0; i < VECTORS; i++) {
            float2 own = sums[s * group + row[i]];
            float factor = exp2_approx(own.x - top[i]);
            sum[i] = fmaf(own.y, factor, sum[i]);
            add_scaled(x[i], __ldcg(source + s * vectors + at[i]), factor);
        }
    }
#pragma unroll
    for (int i = 0; i < VECTORS; i++) {
        if (threadIdx.x + i * DECODE_THREADS < vectors) store_quotient(out + at[i] * 4, x[i], sum[i]);
    }
}

template <int D>
__device__ __forceinline__ void attend(
    const KvCache& kv, int layer, const int* rows, const int* positions, const bf16* q, const int* selected,
    const int* blocks, int max_selected, const int* hits, const int* count, int part, int split_offset,
    const Partials& partials, bf16* out) {
    using Tile = WarpTile<D>;
    constexpr int STAGES = DECODE_STAGES<D>;
    constexpr int STAGE_BYTES = 2 * Tile::BYTES;
    extern __shared__ __align__(256) char shared[];  // stages of each warp, then importance of each warp's stages
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int head = blockIdx.y, group = kv.group(), row = rows[blockIdx.z];
    const int list = blockIdx.z * kv.kv_heads + head;
    out += ((long long)blockIdx.z * kv.heads + head * group) * D;
    if (row < 0) {
        if (split_offset + blockIdx.x > 0) return;
        for (int i = threadIdx.x; i < group * D / 4; i += DECODE_THREADS) {
            reinterpret_cast<uint2*>(out)[i] = make_uint2(0, 0);
        }
        return;
    }
    const int position = positions[blockIdx.z];
    const int part_first = part == FETCHED ? hits[list] : 0;
    const int part_count = (part == RESIDENT ? hits[list] : count[list]) - part_first;
    const int first = part_first + part_count * blockIdx.x / gridDim.x;
    const int end = part_first + part_count * (blockIdx.x + 1) / gridDim.x;
    const unsigned tiles = shared_address(shared) + warp * STAGES * STAGE_BYTES;
    float* importance = reinterpret_cast<float*>(shared + DECODE_WARPS * STAGES * STAGE_BYTES) + warp * STAGES * WARP_TOKENS;
    selected += (long long)list * max_selected;
    blocks += (long long)list * max_selected;

    // Tokens of a block that this warp sees; 0 or less if none.
    auto visible_of = [&](int block) { return position + 1 - block * BLOCK_TOKENS - warp * WARP_TOKENS; };
    Entry entries;  // lane l: the one of l
    auto copy_block = [&](int n) {
        int index = n - first;
        if (index % 32 == 0 && n + lane < end) {
            entries = Entry(kv, layer, row, head, selected[n + lane], blocks[n + lane]);
        }
        if (n < end) {
            Entry entry = entries.of_lane(index % 32);
            Tile::copy(tiles + index % STAGES * STAGE_BYTES, entry.keys + warp * WARP_TOKENS * D, visible_of(entry.block));
            if (kv.has_importance() && lane < WARP_TOKENS / 4) {
                float* target = importance + index % STAGES * WARP_TOKENS + lane * 4;
                copy_async(shared_address(target), entry.importance + warp * WARP_TOKENS + lane * 4);
            }
        }
        commit_copies();
    };
    if (!kv.has_importance()) {
        for (int i = lane; i < STAGES * WARP_TOKENS; i += 32) importance[i] = 0;
    }
    for (int n = first; n < first + STAGES - 1; n++) copy_block(n);

    Matrix queries[D / 16];
    load_heads<D>(queries, q + ((long long)blockIdx.z * kv.heads + head * group) * D, group);
    const float scale = LOG2E / sqrtf(D);
    HeadRows<D> sums;
    for (int n = first; n < end; n++) {
        int visible = min(WARP_TOKENS, visible_of(blocks[n]));
        wait_copies<STAGES - 2>();
        __syncwarp();  // the tile is there for all lanes, and all are done with the one before it
        copy_block(n + STAGES - 1);
        if (visible > 0) {
            int stage = (n - first) % STAGES;
            sums.add(queries, tiles + stage * STAGE_BYTES, importance + stage * WARP_TOKENS, visible, scale);
        }
    }

    const int splits_total = partials.splits_total;
    const long long own = (long long)list * splits_total, split = own + split_offset + blockIdx.x;
    float* output = partials.outputs + split * group * D;
    merge_warps<D>(sums, shared, group, scale, splits_total == 1, output, partials.sums + split * group, out);
    if (splits_total > 1 && is_last(partials.arrived + list, splits_total)) {
        combine<D>(shared, group, splits_total, partials.outputs + own * group * D, partials.sums + own * group, out);
    }
}

// rows and positions int [B], -1 in rows: padding, whose output is zero. q bf16 [B][heads][D]; selected (slots) and blocks
// int [B][kv_heads][max_selected], hits and count int [B][kv_heads], as decode_select writes them; out bf16
// [B][heads * D]. With splits_total 1 nothing is written to partials, else out is complete when all launches are;
// splits_total at most 512.
// Grid: (splits, kv_heads, B); block: 128; dynamic shared memory: DECODE_STAGES * (256 * D + 256) bytes.
// Reads 256 * (D + 1) bytes a block; writes group * (D + 2) * 4 bytes a split.
extern "C" __global__ void __launch_bounds__(DECODE_THREADS, 3) decode_attention_d64(
    KvCache kv, int layer, const int* rows, const int* positions, const bf16* q, const int* selected,
    const int* blocks, int max_selected, const int* hits, const int* count, int part, int split_offset,
    Partials partials, bf16* out) {
    attend<64>(
        kv, layer, rows, positions, q, selected, blocks, max_selected, hits, count, part, split_offset, partials, out);
}

extern "C" __global__ void __launch_bounds__(DECODE_THREADS, 2) decode_attention_d128(
    KvCache kv, int layer, const int* rows, const int* positions, const bf16* q, const int* selected,
    const int* blocks, int max_selected, const int* hits, const int* count, int part, int split_offset,
    Partials partials, bf16* out) {
    attend<128>(
        kv, layer, rows, positions, q, selected, blocks, max_selected, hits, count, part, split_offset, partials, out);
}
