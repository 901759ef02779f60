// Flash attention of a slice of one row's prompt over the blocks that its queries selected.
//
// out = softmax(q . k / sqrt(D) + cis) v over the tokens t <= position of each query's blocks (specification, section
// 2, step 8); no cis in modes full and infllm_v2.
//
// A thread block computes one tile: 128 / G neighbouring queries of one KV head, the G query heads of each, together up
// to 128 rows of the products, 32 to a warp. It goes through the tile's list of blocks in ascending order; K and V of
// the next block are copied while this one is computed. A warp leaves out a block that none of its queries selected,
// and masks scores only in a block that not all of them see whole. A tile whose queries are all dense has no list.
//
// The importance enters as the initial value of the products, cis * sqrt(D). The softmax is in base 2; its exponents
// are relative to a reference that is raised only when a score surpasses it by SLACK, so that the outputs are seldom
// rescaled. What a row gets does not depend on the rows beside it.
//
// Shapes: q bf16 [count][heads][D], out bf16 [count][heads * D]; lists, masks (as u32 [tiles][kv_heads][blocks_pad][4])
// and lengths as prefill_union writes them for the same slice, not read in mode full.
// Grid: (ceil(count / (128 / group)), kv_heads); block: 128; dynamic shared memory: 3 * 128 * D * 2 + 512 bytes.
// A block of a list is 256 * D bytes from L2 and up to 128 * 64 * D * 4 FLOP.
#include "prefill_common.cuh"

constexpr float SLACK = 8;          // powers of two
constexpr int KEY_TILES = BLOCK_TOKENS / 8;

// Softmax and output so far of a lane's rows lane / 4 + 8 * h of the warp's two 16 x D matrices m.
template <int D>
struct AttentionRows {
    float reference[2][2];  // of the exponents, in units of a product
    float sum[2][2];        // of the numerators in this lane's columns
    float output[2][D / 8][4];
};

// Products of the warp's queries with a block's keys, on top of the bias.
template <int D>
__device__ __forceinline__ void block_scores(
    float (&scores)[2][KEY_TILES][4], unsigned queries, unsigned keys, const float* importance) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int n = 0; n < KEY_TILES; n++) {
        float2 cis = *reinterpret_cast<const float2*>(importance + n * 8 + lane % 4 * 2);
        float2 bias = make_float2(cis.x * sqrtf(D), cis.y * sqrtf(D));
#pragma unroll
        for (int m = 0; m < 2; m++) {
            scores[m][n][0] = scores[m][n][2] = bias.x;
            scores[m][n][1] = scores[m][n][3] = bias.y;
        }
    }
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        unsigned at = queries ^ (k * 32);
        Matrix q[2] = {load_matrix(at), load_matrix(at + 16 * D * 2)};
#pragma unroll
        for (int n = 0; n < KEY_TILES; n += 2) {
            Matrix key = load_matrix((keys ^ (k * 32)) + n * 8 * D * 2);
#pragma unroll
            for (int m = 0; m < 2; m++) {
                multiply_add(scores[m][n], q[m], key.r[0], key.r[1]);
                multiply_add(scores[m][n + 1], q[m], key.r[2], key.r[3]);
            }
        }
    }
}

// Raises the references of rows with a score more than SLACK above it.
template <int D>
__device__ __forceinline__ void raise_references(
    AttentionRows<D>& rows, const float (&scores)[2][KEY_TILES][4], float scale) {
    float highest[2][2];
    bool raise = false;
#pragma unroll
    for (int m = 0; m < 2; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float top = scores[m][0][2 * h];
#pragma unroll
            for (int n = 0; n < KEY_TILES; n++) {
                top = fmaxf(top, fmaxf(scores[m][n][2 * h], scores[m][n][2 * h + 1]));
            }
            top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, 1));
            top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, 2));
            bool above = (top - rows.reference[m][h]) * scale > SLACK;
            highest[m][h] = above ? top : rows.reference[m][h];
            raise |= above;
        }
    }
    if (!__any_sync(ALL_LANES, raise)) return;
#pragma unroll
    for (int m = 0; m < 2; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float shrink = exp2_approx((rows.reference[m][h] - highest[m][h]) * scale);
            rows.reference[m][h] = highest[m][h];
            rows.sum[m][h] *= shrink;
#pragma unroll
            for (int n = 0; n < D / 8; n++) {
                rows.output[m][n][2 * h] *= shrink;
                rows.output[m][n][2 * h + 1] *= shrink;
            }
        }
    }
}

// Adds the numerators' products with the block's values to the output.
template <int D>
__device__ __forceinline__ void add_values(
    AttentionRows<D>& rows, const float (&scores)[2][KEY_TILES][4], float scale, unsigned values) {
#pragma unroll
    for (int k = 0; k < KEY_TILES / 2; k++) {
        Matrix p[2];
#pragma unroll
        for (int m = 0; m < 2; m++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int h = i % 2;
                const float* s = &scores[m][2 * k + i / 2][2 * h];
                float low = exp2_approx(fmaf(s[0], scale, -rows.reference[m][h] * scale));
                float high = exp2_approx(fmaf(s[1], scale, -rows.reference[m][h] * scale));
                rows.sum[m][h] += low + high;
                p[m].r[i] = pack_bf16(low, high);
            }
        }
#pragma unroll
        for (int n = 0; n < D / 16; n++) {
            Matrix v = load_transposed((values ^ (n * 32)) + k * 16 * D * 2);
#pragma unroll
            for (int m = 0; m < 2; m++) {
                multiply_add(rows.output[m][2 * n], p[m], v.r[0], v.r[1]);
                multiply_add(rows.output[m][2 * n + 1], p[m], v.r[2], v.r[3]);
            }
        }
    }
}

// The queries of one warp.
struct WarpQueries {
    int position;   // of the first
    int last;       // position of the last
    unsigned all;   // bit i: query i exists
    unsigned rows;  // in byte 2 * m + h: the query of this lane's row lane / 4 + 8 * h of matrix m

    __device__ WarpQueries(int position_of_tile, int queries, int group) {
        int warp = threadIdx.x / 32;
        int first = warp_first_query(warp, group);
        int count = max(0, min(queries - 1, warp_last_query(warp, group)) - first + 1);
        position = position_of_tile + first;
        last = position + count - 1;
        all = count == 32 ? ALL_LANES : (1u << count) - 1;
        rows = 0;
        for (int i = 0; i < 4; i++) {
            rows |= ((warp * WARP_ROWS + 8 * i + threadIdx.x % 32 / 4) / group - first) << (8 * i);
        }
    }
};

// A listed block as one warp sees it.
struct WarpBlock {
    ListedBlock listed;
    unsigned queries;  // bit i: query i of the warp attends it
};

// Takes out what a query did not select or comes after it.
__device__ __forceinline__ void mask_scores(
    float (&scores)[2][KEY_TILES][4], const WarpQueries& warp, int block, unsigned queries) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int query = warp.rows >> (8 * i) & 31;
        int visible = queries >> query & 1 ? warp.position + query + 1 - block * BLOCK_TOKENS : 0;
        visible -= threadIdx.x % 4 * 2;
#pragma unroll
        for (int n = 0; n < KEY_TILES; n++) {
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float& score = scores[i / 2][n][i % 2 * 2 + e];
                score = n * 8 + e < visible ? score : -INFINITY;
            }
        }
    }
}

// Divides the outputs by their sums and writes them, by way of the warp's own rows of the query tile.
template <int D>
__device__ __forceinline__ void write_output(
    const AttentionRows<D>& rows, char* tile, int group, int queries, int stride, bf16* out) {
    int lane = threadIdx.x % 32;
    char* own = tile + threadIdx.x / 32 * WARP_ROWS * D * 2;
    __syncwarp();  // all lanes have read their queries
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int m = i / 2, h = i % 2;
        float sum = rows.sum[m][h];
        sum += __shfl_xor_sync(ALL_LANES, sum, 1);
        sum += __shfl_xor_sync(ALL_LANES, sum, 2);
        float scale = 1 / sum;
#pragma unroll
        for (int n = 0; n < D / 8; n++) {
            // piece n of row 8 * i + lane / 4
            int at = (8 * i + lane / 4) * D * 2 + (n ^ (lane / 4)) * COPY_BYTES + lane % 4 * 4;
            const float* o = &rows.output[m][n][2 * h];
            *reinterpret_cast<unsigned*>(own + at) = pack_bf16(o[0] * scale, o[1] * scale);
        }
    }
    __syncwarp();
    constexpr int PIECES = D * 2 / COPY_BYTES;
    for (int i = lane; i < WARP_ROWS * PIECES; i += 32) {
        int r = i / PIECES, piece = i % PIECES;
        int row = threadIdx.x / 32 * WARP_ROWS + r;
        if (row / group >= queries) return;
        uint4 value = *reinterpret_cast<const uint4*>(own + r * D * 2 + (piece ^ (r % 8)) * COPY_BYTES);
        *reinterpret_cast<uint4*>(out + (long long)(row / group) * stride + row % group * D + piece * 8) = value;
    }
}

template <int D>
__device__ __forceinline__ void attend(
    const KvCache& kv, int layer, int row, int start, int count, const bf16* q, const ListedBlock* lists,
    const unsigned* masks, const int* lengths, int blocks_pad, bf16* out) {
    using Copy = TileCopy<D>;
    constexpr unsigned QUERY_BYTES = TILE_ROWS * D * 2;
    constexpr unsigned BLOCK_BYTES = 2 * BLOCK_TOKENS * D * 2;
    extern __shared__ __align__(256) char shared[];  // queries, then two stages of K and V, then two of importance
    float* importance = reinterpret_cast<float*>(shared + QUERY_BYTES + 2 * BLOCK_BYTES);
    const unsigned query_tile = shared_address(shared);

    const int group = kv.group(), head = blockIdx.y;
    const int tile = gridDim.x - 1 - blockIdx.x;  // the longest lists first, where they differ
    const int first = tile * (TILE_ROWS / group);
    const int queries = min(TILE_ROWS / group, count - first);
    const int last = start + first + queries - 1;
    const bool dense = kv.is_dense(last);
    const long long list = (long long)tile * kv.kv_heads + head;
    const int length = dense ? last / BLOCK_TOKENS + 1 : lengths[list];
    const WarpQueries warp(start + first, queries, group);
    const ListedBlock* blocks = lists + list * blocks_pad;
    const unsigned* warp_masks = masks + list * blocks_pad * PREFILL_WARPS + threadIdx.x / 32;
    const long long first_row = (long long)first * kv.heads + head * group;
    q += first_row * D;
    out += first_row * D;

    auto block_at = [&](int n) {
        n = min(n, length - 1);
        if (!dense) return WarpBlock{blocks[n], warp_masks[n * PREFILL_WARPS]};
        return WarpBlock{list_block(kv, layer, row, head, n), n * BLOCK_TOKENS <= warp.last ? warp.all : 0};
    };
    auto copy_block = [&](const ListedBlock& block, int stage) {
        const bf16* source = kv.page_keys(block.page, layer, head) + Copy::row() * D + Copy::column();
        unsigned target = query_tile + QUERY_BYTES + stage * BLOCK_BYTES + Copy::offset();
        // What lies behind the last token may be no numbers, and a numerator of 0 would not rid us of them.
        int tokens = start + count - block.block * BLOCK_TOKENS - Copy::row();
#pragma unroll
        for (int n = 0; n < BLOCK_BYTES / ROUND_BYTES; n++) {
            bool valid = n * Copy::ROWS % BLOCK_TOKENS < tokens;
            copy_async(target + n * ROUND_BYTES, source + n * (ROUND_BYTES / 2), valid);
        }
        if (kv.has_importance() && threadIdx.x < BLOCK_TOKENS / 4) {
            int at = threadIdx.x * 4;
            copy_async(shared_address(importance + stage * BLOCK_TOKENS + at), block.importance + at);
        }
        commit_copies();
    };

    if (!kv.has_importance()) importance[threadIdx.x] = 0;
    for (int n = 0; n < QUERY_BYTES / ROUND_BYTES; n++) {
        int r = Copy::row() + n * Copy::ROWS;
        int query = min(r / group, queries - 1);
        const bf16* source = q + ((long long)query * kv.heads + r % group) * D + Copy::column();
        copy_async(query_tile + Copy::offset() + n * ROUND_BYTES, source, r / group < queries);
    }
    WarpBlock current = block_at(0), next = block_at(1);
    copy_block(current.listed, 0);

    const int lane = threadIdx.x % 32;
    const unsigned own_queries = query_tile + threadIdx.x / 32 * WARP_ROWS * D * 2 + left_offset<D>(lane);
    const float scale = LOG2E / sqrtf(D);
    AttentionRows<D> rows;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        rows.reference[i / 2][i % 2] = NO_SCORE;
        rows.sum[i / 2][i % 2] = 0;
#pragma unroll
        for (int n = 0; n < D / 8; n++) {
            rows.output[i / 2][n][i % 2 * 2] = rows.output[i / 2][n][i % 2 * 2 + 1] = 0;
        }
    }
    for (int n = 0; n < length; n++) {
        wait_copies<0>();
        __syncthreads();  // the block is there for all, and all are done with the one before it
        if (n + 1 < length) copy_block(next.listed, (n + 1) % 2);
        WarpBlock after = block_at(n + 2);
        if (current.queries != 0) {
            unsigned keys = query_tile + QUERY_BYTES + n % 2 * BLOCK_BYTES;
            unsigned values = keys + BLOCK_BYTES / 2;
            float scores[2][KEY_TILES][4];
            block_scores<D>(scores, own_queries, keys + right_offset<D>(lane), importance + n % 2 * BLOCK_TOKENS);
            int end = (current.listed.block + 1) * BLOCK_TOKENS;
            if (current.queries != warp.all || end > warp.position + 1) {
                mask_scores(scores, warp, current.listed.block, current.queries);
            }
            raise_references<D>(rows, scores, scale);
            add_values<D>(rows, scores, scale, values + left_offset<D>(lane));
        }
        current = next;
        next = after;
    }
    write_output<D>(rows, shared, group, queries, kv.heads * D, out);
}

extern "C" __global__ void __launch_bounds__(PREFILL_THREADS, 2) prefill_attention_d64(
    KvCache kv, int layer, int row, int start, int count, const bf16* q, const ListedBlock* lists,
    const unsigned* masks, const int* lengths, int blocks_pad, bf16* out) {
    attend<64>(kv, layer, row, start, count, q, lists, masks, lengths, blocks_pad, out);
}

extern "C" __global__ void __launch_bounds__(PREFILL_THREADS, 2) prefill_attention_d128(
    KvCache kv, int layer, int row, int start, int count, const bf16* q, const ListedBlock* lists,
    const unsigned* masks, const int* lengths, int blocks_pad, bf16* out) {
    attend<128>(kv, layer, row, start, count, q, lists, masks, lengths, blocks_pad, out);
}
