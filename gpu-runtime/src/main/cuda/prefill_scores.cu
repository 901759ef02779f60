// Query-aware block scores of a slice of one row's prompt (specification, section 2, steps 4 and 5): of each query head
// a softmax over its visible windows of q . ck / sqrt(D), summed over the heads of a KV head, and of each block the
// maximum over the windows w with 64 * block - stride <= w * stride < 64 * (block + 1). A product more than 80 below
// the largest of its query head counts as 80 below. Only scores of blocks that some query may choose are written, those
// before its local blocks; all windows of such a block are visible, since a window is no longer than the local blocks.
//
// A thread block computes a tile of queries of one KV head, their query heads padded to 8 or 16, so 128 rows of
// products, 32 to a warp. It goes through the windows twice, 64 at a time, three such chunks under way: for the
// softmax's maxima and sums, and for the scores. The products of the second pass have windows as rows, so that a lane
// holds 8 query heads of the same query, whose scores it adds up; what leaves the chip is block scores.
//
// Each pass of a tile reads windows * D * 2 bytes from L2 for 128 * windows * D * 2 FLOP. Nothing is written for a tile
// whose queries are all dense.
#include "prefill_common.cuh"

constexpr int CHUNK = 64;         // windows
constexpr int HALF_CHUNK = 32;    // windows whose products a warp holds at a time
constexpr int SCORE_STAGES = 3;   // chunks in shared memory
constexpr int LANE_ROWS = 8;      // query heads of a lane in the second pass
constexpr int WARP_QUERIES = 4;   // at most
constexpr float NO_PRODUCT = -1e30f;  // below every one, and finite
constexpr float FLOOR = -80;      // of a product relative to the largest
constexpr int SCORE_PITCH = CHUNK + LANE_ROWS;  // at least CHUNK + 1, and the queries of a warp in different banks

// One warp's rows. They stand in the order in which lanes hold them in the second pass, LANE_ROWS to each of four
// lanes.
struct ScoreRows {
    int group, padded;  // query heads of a query; rows of a query
    int query;          // the warp's first, of the slice
    int count;          // queries of the slice

    __device__ int queries() const { return WARP_ROWS / padded; }
    __device__ int query_of(int row) const { return query + row / padded; }
    __device__ bool exists(int row) const { return row % padded < group && query_of(row) < count; }
    // The one in row n of the 8 x D part `part` of the warp's operand.
    __device__ static int row_of(int part, int n) { return n / 2 * LANE_ROWS + part * 2 + n % 2; }
};

// The warp's queries as operands: parts[n][k] is of 8 rows columns 16 * k to 16 * k + 7, and the next 8. Rows that do
// not exist are zero.
template <int D>
__device__ __forceinline__ void load_queries(
    unsigned (&parts)[4][D / 16][2], const ScoreRows& rows, const bf16* q, int heads, int head) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int n = 0; n < 4; n++) {
        int r = rows.row_of(n, lane / 4);
        bool exists = rows.exists(r);
        const bf16* source = q + ((long long)rows.query_of(r) * heads + head * rows.group + r % rows.padded) * D;
#pragma unroll
        for (int i = 0; i < D / 8; i++) {
            const unsigned* pair = reinterpret_cast<const unsigned*>(source + i * 8) + lane % 4;
            parts[n][i / 2][i % 2] = exists ? *pair : 0;
        }
    }
}

// Softmax so far of a lane's rows lane / 4 of the warp's four parts, over this lane's windows.
struct ScoreSoftmax {
    float maximum[4];  // of the products
    float sum[4];      // of 2 ^ ((product - maximum) * scale)
};

// First pass: takes in the half chunk whose first window is `first`. Windows that a query does not see are masked if
// there are any: `visible[n]` are those that row lane / 4 of part n sees.
template <int D>
__device__ __forceinline__ void add_to_softmax(
    ScoreSoftmax& softmax, const Matrix (&queries)[2][D / 16], unsigned keys, float scale, int first, bool masked,
    const int (&visible)[4]) {
    float products[2][HALF_CHUNK / 8][4] = {};
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
#pragma unroll
        for (int n = 0; n < HALF_CHUNK / 8; n += 2) {
            Matrix key = load_matrix((keys ^ (k * 32)) + n * 8 * D * 2);
#pragma unroll
            for (int m = 0; m < 2; m++) {
                multiply_add(products[m][n], queries[m][k], key.r[0], key.r[1]);
                multiply_add(products[m][n + 1], queries[m][k], key.r[2], key.r[3]);
            }
        }
    }
    if (masked) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < HALF_CHUNK / 4; j++) {
                int window = first + j / 2 * 8 + threadIdx.x % 4 * 2 + j % 2;
                if (window >= visible[i]) products[i / 2][j / 2][i % 2 * 2 + j % 2] = -INFINITY;
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float top = softmax.maximum[i];
#pragma unroll
        for (int n = 0; n < HALF_CHUNK / 8; n++) {
            const float* x = &products[i / 2][n][i % 2 * 2];
            top = fmaxf(top, fmaxf(x[0], x[1]));
        }
        softmax.sum[i] *= exp2_approx((softmax.maximum[i] - top) * scale);
        softmax.maximum[i] = top;
#pragma unroll
        for (int n = 0; n < HALF_CHUNK / 8; n++) {
            const float* x = &products[i / 2][n][i % 2 * 2];
            softmax.sum[i] +=
                exp2_approx(fmaf(x[0], scale, -top * scale)) + exp2_approx(fmaf(x[1], scale, -top * scale));
        }
    }
}

// Second pass: writes the scores of a half chunk, those of window lane / 4 + 8 * j to scores[lane / 4 + 8 * j].
template <int D>
__device__ __forceinline__ void add_scores(
    float* scores, const unsigned (&queries)[4][D / 16][2], unsigned keys, float scale,
    const float (&shift)[LANE_ROWS], const float (&factor)[LANE_ROWS], bool split) {
    float products[HALF_CHUNK / 16][4][4] = {};
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
#pragma unroll
        for (int m = 0; m < HALF_CHUNK / 16; m++) {
            Matrix key = load_matrix((keys ^ (k * 32)) + m * 16 * D * 2);
#pragma unroll
            for (int n = 0; n < 4; n++) {
                multiply_add(products[m][n], key, queries[n][k][0], queries[n][k][1]);
            }
        }
    }
#pragma unroll
    for (int j = 0; j < HALF_CHUNK / 8; j++) {
        float score = 0;
#pragma unroll
        for (int i = 0; i < LANE_ROWS; i++) {
            float x = fmaf(products[j / 2][i / 2][j % 2 * 2 + i % 2], scale, shift[i]);
            score = fmaf(exp2_approx(fmaxf(x, FLOOR * LOG2E)), factor[i], score);
        }
        float other = __shfl_xor_sync(ALL_LANES, score, 1);
        scores[threadIdx.x % 32 / 4 + j * 8] = split ? score + other : score;
    }
}

// Maximum over the windows of each block of a chunk, which `windows` holds for each of the warp's queries behind the
// last window of the chunk before. Writes blocks below `end` to scores of the queries, `pitch` apart.
__device__ __forceinline__ void pool_blocks(
    float (*windows)[SCORE_PITCH], const ScoreRows& rows, int stride, int block, int end, float* scores, int pitch) {
    int shift = __ffs(stride) - 1;  // stride divides 64
    int size = BLOCK_TOKENS >> shift;  // windows that begin in a block
    for (int i = threadIdx.x % 32; i < rows.queries() * stride; i += 32) {
        int query = i >> shift, b = i & (stride - 1);
        float top = 0;  // no score is less
        for (int w = b * size; w <= b * size + size; w++) top = fmaxf(top, windows[query][w]);
        if (rows.query + query < rows.count && block + b < end) scores[(long long)query * pitch + b] = top;
    }
}

template <int D>
__device__ __forceinline__ void score(
    const KvCache& kv, int layer, int row, int start, int count, const bf16* q, float* scores, int blocks_pad) {
    using Copy = TileCopy<D>;
    constexpr unsigned CHUNK_BYTES = CHUNK * D * 2;
    extern __shared__ __align__(256) char shared[];  // chunks, then pages
    // Where window 0 would lie if all lay as those of the page.
    const bf16** pages = reinterpret_cast<const bf16**>(shared + SCORE_STAGES * CHUNK_BYTES);
    __shared__ float window_scores[PREFILL_WARPS][WARP_QUERIES][SCORE_PITCH];
    __shared__ float2 statistics[PREFILL_WARPS][WARP_ROWS];  // -maximum * scale, 1 / sum
    const unsigned chunks = shared_address(shared);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, head = blockIdx.y;
    const int padded = kv.group() > LANE_ROWS ? 2 * LANE_ROWS : LANE_ROWS;
    const int first = blockIdx.x * (TILE_ROWS / padded);
    const int last = min(first + TILE_ROWS / padded, count) - 1;
    if (kv.is_dense(start + last)) return;
    const ScoreRows rows{kv.group(), padded, first + warp * (WARP_ROWS / padded), count};
    const float scale = LOG2E / sqrtf(D);

    const int windows = kv.windows(start + last + 1);  // that any query sees
    const int common = kv.windows(start + first + 1);  // that all see
    const int blocks = (start + last) / BLOCK_TOKENS - kv.local_blocks;  // with a score; stride of them in a chunk
    const int softmax_chunks = (windows + CHUNK - 1) / CHUNK;
    const int steps = softmax_chunks + (blocks + kv.stride - 1) / kv.stride;
    const int page_windows = kv.windows_per_page();  // more than a round of copies takes
    for (int page = threadIdx.x; page * page_windows < windows; page += PREFILL_THREADS) {
        pages[page] = kv.state(row, page, layer, head) - page * page_windows * D;
    }
    __syncthreads();
    int page = 0, page_end = page_windows;  // of this thread's next window
    auto copy_chunk = [&](int step) {
        if (step < steps) {
            int chunk = step < softmax_chunks ? step : step - softmax_chunks;
            if (chunk == 0) {
                page = 0;
                page_end = page_windows;
            }
            unsigned target = chunks + step % SCORE_STAGES * CHUNK_BYTES + Copy::offset();
#pragma unroll
            for (int n = 0; n < CHUNK_BYTES / ROUND_BYTES; n++) {
                int window = chunk * CHUNK + Copy::row() + n * Copy::ROWS;
                if (window >= page_end && window < windows) {
                    page++;
                    page_end += page_windows;
                }
                copy_async(target + n * ROUND_BYTES, pages[page] + window * D + Copy::column(), window < windows);
            }
        }
        commit_copies();
    };
    // The next step's chunk, when it is there for all threads.
    auto take_chunk = [&](int step) {
        wait_copies<SCORE_STAGES - 2>();
        __syncthreads();  // also: all are done with the chunk whose place the copy takes
        copy_chunk(step + SCORE_STAGES - 1);
        return chunks + step % SCORE_STAGES * CHUNK_BYTES;
    };
#pragma unroll 1
    for (int step = 0; step < SCORE_STAGES - 1; step++) copy_chunk(step);

    unsigned queries[4][D / 16][2];
    load_queries<D>(queries, rows, q, kv.heads, head);
    Matrix left[2][D / 16];
    ScoreSoftmax softmax;
    int visible[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int k = 0; k < D / 16; k++) {
            left[i / 2][k].r[i % 2] = queries[i][k][0];
            left[i / 2][k].r[i % 2 + 2] = queries[i][k][1];
        }
        softmax.maximum[i] = NO_PRODUCT;
        softmax.sum[i] = 0;
        visible[i] = kv.windows(start + rows.query_of(rows.row_of(i, lane / 4)) + 1);
    }
    int step = 0;
    for (; step < softmax_chunks; step++) {
        unsigned keys = take_chunk(step) + right_offset<D>(lane);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int window = step * CHUNK + half * HALF_CHUNK;
            bool masked = window + HALF_CHUNK > common;
            add_to_softmax<D>(softmax, left, keys + half * HALF_CHUNK * D * 2, scale, window, masked, visible);
        }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float top = fmaxf(softmax.maximum[i], __shfl_xor_sync(ALL_LANES, softmax.maximum[i], 1));
        top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, 2));
        float sum = softmax.sum[i] * exp2_approx((softmax.maximum[i] - top) * scale);
        sum += __shfl_xor_sync(ALL_LANES, sum, 1);
        sum += __shfl_xor_sync(ALL_LANES, sum, 2);
        int r = rows.row_of(i, lane / 4);
        statistics[warp][r] = make_float2(-top * scale, rows.exists(r) ? 1 / sum : 0);
    }
    if (lane < WARP_QUERIES) window_scores[warp][lane][0] = 0;
    __syncwarp();

    float shift[LANE_ROWS], factor[LANE_ROWS];
#pragma unroll
    for (int i = 0; i < LANE_ROWS; i++) {
        shift[i] = statistics[warp][lane % 4 * LANE_ROWS + i].x;
        factor[i] = statistics[warp][lane % 4 * LANE_ROWS + i].y;
    }
    load_queries<D>(queries, rows, q, kv.heads, head);  // again: as the other operand they need other registers
    bool split = padded > LANE_ROWS;  // two lanes hold a query
    float* own = window_scores[warp][split ? lane % 4 / 2 : lane % 4] + 1;
    scores += ((long long)rows.query * kv.kv_heads + head) * blocks_pad;
    for (; step < steps; step++) {
        unsigned keys = take_chunk(step) + left_offset<D>(lane);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            add_scores<D>(
                own + half * HALF_CHUNK, queries, keys + half * HALF_CHUNK * D * 2, scale, shift, factor, split);
        }
        __syncwarp();
        int block = (step - softmax_chunks) * kv.stride;
        pool_blocks(window_scores[warp], rows, kv.stride, block, blocks, scores + block, kv.kv_heads * blocks_pad);
        float carried = window_scores[warp][lane % WARP_QUERIES][CHUNK];
        __syncwarp();
        if (lane < WARP_QUERIES) window_scores[warp][lane][0] = carried;
    }
}

// q bf16 [count][heads][D], scores f32 [count][kv_heads][blocks_pad]; scores of blocks that no query may choose, and
// those of tiles whose queries are all dense, are left as they were. Run in modes infllm_v2 and nosa.
// Grid: (ceil(count / (group > 8 ? 8 : 16)), kv_heads); block: 128; dynamic shared memory: 3 * 64 * D * 2 +
// 8 * max_state_pages bytes.
extern "C" __global__ void __launch_bounds__(PREFILL_THREADS, 3) prefill_scores_d64(
    KvCache kv, int layer, int row, int start, int count, const bf16* q, float* scores, int blocks_pad) {
    score<64>(kv, layer, row, start, count, q, scores, blocks_pad);
}

extern "C" __global__ void __launch_bounds__(PREFILL_THREADS, 3) prefill_scores_d128(
    KvCache kv, int layer, int row, int start, int count, const bf16* q, float* scores, int blocks_pad) {
    score<128>(kv, layer, row, start, count, q, scores, blocks_pad);
}
