// What the prefill kernels share: asynchronous copies into swizzled shared memory, and BF16 products of one warp.
//
// Swizzle: a tile's rows hold D bf16 in pieces of 16 bytes, and piece p of row r lies at place p ^ (r & 7) of its row,
// so that the eight rows of a matrix (ldmatrix) lie in different banks. Tiles begin at multiples of 256 bytes.
//
// Products (m16n8k16) take 16 x 16 parts of a tile, a Matrix: four of 8 x 8, of each of which lane l holds row l / 4,
// columns 2 * (l % 4) and the next. The order of the four is that of the operands:
//   left operand, 16 rows:             rows 0-7, columns 0-7; rows 8-15, columns 0-7; rows 0-7, columns 8-15; the rest
//   right operand, its 8 columns twice: rows 0-7, columns 0-7; rows 0-7, columns 8-15; rows 8-15, columns 0-7; the rest
// A right operand is named by the rows that it has in shared memory, where it lies transposed.
#pragma once
#include "common.cuh"

constexpr int COPY_BYTES = 16;    // of one asynchronous copy
constexpr int PREFILL_WARPS = 4;  // of the thread blocks that compute products
constexpr int PREFILL_THREADS = 32 * PREFILL_WARPS;
constexpr int ROUND_BYTES = PREFILL_THREADS * COPY_BYTES;  // what all threads of such a block copy at a time
constexpr int WARP_ROWS = 32;  // of the products: queries x group
constexpr int TILE_ROWS = PREFILL_WARPS * WARP_ROWS;

__device__ __forceinline__ unsigned shared_address(const void* pointer) {
    return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// Copies 16 bytes, or writes zeros where not valid.
__device__ __forceinline__ void copy_async(unsigned target, const void* source, bool valid = true) {
    int bytes = valid ? COPY_BYTES : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(source), "r"(bytes) : "memory");
}

__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most `pending` of this thread's groups of copies are under way.
template <int pending>
__device__ __forceinline__ void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

__device__ __forceinline__ Matrix load_matrix(unsigned address) {
    Matrix m;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(m.r[0]), "=r"(m.r[1]), "=r"(m.r[2]), "=r"(m.r[3])
                 : "r"(address));
    return m;
}

// The same with each of the four transposed. In the order of a left operand this gives the right one whose rows are the
// tile's: its columns 0-7, then 8-15.
__device__ __forceinline__ Matrix load_transposed(unsigned address) {
    Matrix m;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(m.r[0]), "=r"(m.r[1]), "=r"(m.r[2]), "=r"(m.r[3])
                 : "r"(address));
    return m;
}

// Where lane l's 16 bytes for load_matrix lie in a tile's first 16 rows and columns, in the order of a left operand or
// a right one. Those of columns 16 * k are at the offset ^ (k * 32), those of rows 16 * n at the offset + n * 32 * D.
template <int D>
__device__ __forceinline__ unsigned left_offset(int lane) {
    return (lane % 16) * D * 2 + ((lane / 16) ^ (lane % 8)) * COPY_BYTES;
}

template <int D>
__device__ __forceinline__ unsigned right_offset(int lane) {
    return (lane % 8 + lane / 16 * 8) * D * 2 + ((lane / 8 % 2) ^ (lane % 8)) * COPY_BYTES;
}

// How the thread block copies a tile: in round n this thread copies 16 bytes of row row() + n * ROWS.
template <int D>
struct TileCopy {
    static constexpr int PIECES = D * 2 / COPY_BYTES;  // of a row
    static constexpr int ROWS = PREFILL_THREADS / PIECES;
    __device__ static int row() { return threadIdx.x / PIECES; }
    __device__ static int column() { return threadIdx.x % PIECES * (COPY_BYTES / 2); }
    // Of round 0; that of round n is n * ROUND_BYTES further.
    __device__ static unsigned offset() {
        return row() * D * 2 + ((threadIdx.x % PIECES) ^ (row() % 8)) * COPY_BYTES;
    }
};

// Attention works on tiles of TILE_ROWS / group queries, row r of a tile being head r % group of query r / group. The
// first and last query that have a row in a warp:
__device__ __forceinline__ int warp_first_query(int warp, int group) { return warp * WARP_ROWS / group; }
__device__ __forceinline__ int warp_last_query(int warp, int group) { return ((warp + 1) * WARP_ROWS - 1) / group; }

// A block that queries of a tile attend.
struct __align__(16) ListedBlock {
    int block, page;
    const float* importance;  // cis of its tokens; null in modes without
};

__device__ __forceinline__ ListedBlock list_block(const KvCache& kv, int layer, int row, int head, int block) {
    const float* cis = kv.has_importance() ? kv.token_importance(row, layer, head, block * BLOCK_TOKENS) : nullptr;
    return {block, kv.page_table[row * kv.max_pages + block], cis};
}
