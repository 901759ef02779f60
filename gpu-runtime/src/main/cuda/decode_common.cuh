// What the decode kernels share: products of one GQA group's queries with rows of K, without shared memory.
//
// A warp's left operand are the up to 16 query heads of a group. Of each row, query head or key, lane l holds pieces of
// 16 bytes: piece l % 4 of every 64 bytes, so that four lanes read 64 bytes in one go. The columns of a product are
// thereby in another order than in memory, the same for both operands, which leaves their sum as it is.
#pragma once
#include "common.cuh"

constexpr int WARP_LANES = 32;
constexpr int GROUP_ROWS = 16;     // of the left operand; those from the group's size on are zero
constexpr int TILE_KEYS = 16;      // keys that a warp takes at a time
constexpr int PIECE_COLUMNS = 32;  // columns of 64 bytes

// 16 bytes that are read once.
__device__ __forceinline__ uint4 load_once(const void* source) {
    uint4 x;
    asm volatile("ld.global.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "l"(source));
    return x;
}

// Query heads as left operands; q are those of the group, bf16 [group][D].
template <int D>
__device__ __forceinline__ void load_group(Matrix (&queries)[D / 16], const bf16* q, int group) {
    int lane = threadIdx.x % WARP_LANES;
#pragma unroll
    for (int n = 0; n < D / PIECE_COLUMNS; n++) {
        uint4 part[2] = {};
#pragma unroll
        for (int i = 0; i < 2; i++) {
            int head = lane / 4 + i * 8;
            const bf16* source = q + head * D + n * PIECE_COLUMNS + lane % 4 * VECTOR;
            if (head < group) part[i] = *reinterpret_cast<const uint4*>(source);
        }
        queries[2 * n] = {part[0].x, part[1].x, part[0].y, part[1].y};
        queries[2 * n + 1] = {part[0].z, part[1].z, part[0].w, part[1].w};
    }
}

// This lane's share of two keys: those of the tile's columns lane / 4 and lane / 4 + 8.
template <int D>
struct KeyTile {
    uint4 pieces[2][D / PIECE_COLUMNS];

    __device__ __forceinline__ void load(const bf16* first, const bf16* second) {
        int column = threadIdx.x % 4 * VECTOR;
#pragma unroll
        for (int n = 0; n < D / PIECE_COLUMNS; n++) {
            pieces[0][n] = load_once(first + column + n * PIECE_COLUMNS);
            pieces[1][n] = load_once(second + column + n * PIECE_COLUMNS);
        }
        __syncwarp();  // else the compiler waits for some pieces before it asks for the others, to save registers
    }

    // products[i] are the queries' with keys 8 * i to 8 * i + 7.
    __device__ __forceinline__ void multiply(float (&products)[2][4], const Matrix (&queries)[D / 16]) const {
#pragma unroll
        for (int n = 0; n < D / PIECE_COLUMNS; n++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                multiply_add(products[i], queries[2 * n], pieces[i][n].x, pieces[i][n].y);
                multiply_add(products[i], queries[2 * n + 1], pieces[i][n].z, pieces[i][n].w);
            }
        }
    }
};

// The largest of the four lanes that hold a row of a product, and their sum.
__device__ __forceinline__ float row_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 1));
    return fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 2));
}

__device__ __forceinline__ float row_sum(float x) {
    x += __shfl_xor_sync(ALL_LANES, x, 1);
    return x + __shfl_xor_sync(ALL_LANES, x, 2);
}
