#include <cuda_pipeline_primitives.h>

extern "C" __global__ void missing_wait(const float4* x, float4* out, int vectors) {
    __shared__ float4 row[32];
    int t = threadIdx.x;
    for (int first = 0; first < vectors; first += 32) {
        if (first + t < vectors)
            __pipeline_memcpy_async(&row[t], &x[blockIdx.x * vectors + first + t], 16);
        __pipeline_commit();
        __syncthreads();
        if (first + t < vectors) out[blockIdx.x * vectors + first + t] = row[t];
        __syncthreads();
    }
}
