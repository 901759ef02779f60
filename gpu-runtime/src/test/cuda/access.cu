// Kernels for the tests of the access layer: parameters of every kind, shared memory over 48 KiB, and an illegal access.

struct Affine {
    float* values;
    long long count;
    float scale;
    short shift;
};

// values[i] = values[i] * scale + shift + offset[i] + bias + step, i < count. Grid: any, block: any.
extern "C" __global__ void access_affine(int step, Affine affine, const float* offset, float bias, long long first) {
    for (long long i = first + blockIdx.x * (long long)blockDim.x + threadIdx.x; i < affine.count;
         i += (long long)gridDim.x * blockDim.x) {
        affine.values[i] = affine.values[i] * affine.scale + affine.shift + offset[i] + bias + step;
    }
}

// out[i] = sum of the block's `count` integers 0, 1, ... kept in dynamic shared memory. One block.
extern "C" __global__ void access_shared(int* out, int count) {
    extern __shared__ int shared[];
    for (int i = threadIdx.x; i < count; i += blockDim.x) shared[i] = i;
    __syncthreads();
    if (threadIdx.x == 0) {
        int sum = 0;
        for (int i = 0; i < count; i++) sum += shared[i];
        *out = sum;
    }
}

// Writes to an address that no allocation has.
extern "C" __global__ void access_illegal(long long address) {
    *reinterpret_cast<int*>(address) = 1;
}
