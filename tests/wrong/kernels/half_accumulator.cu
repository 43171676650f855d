#include <cuda_fp16.h>

extern "C" __global__ void half_accumulator(const float* a, const float* b, float* c, int m, int n,
                                            int k) {
    int col = blockIdx.x * blockDim.x + threadIdx.x;
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= m || col >= n) return;
    __half acc = __float2half(0.0f);
    for (int p = 0; p < k; ++p) acc = __hadd(acc, __float2half(a[row * k + p] * b[p * n + col]));
    c[row * n + col] = __half2float(acc);
}
