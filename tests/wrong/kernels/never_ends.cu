extern "C" __global__ void never_ends(const float* x, float* out, int* done, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(out, x[i]);
    __syncthreads();
    if (threadIdx.x == 0) {
        atomicAdd(done, 1);
        if (blockIdx.x == gridDim.x - 1)
            while (atomicAdd(done, 0) < gridDim.x + 1) {
            }
    }
}
