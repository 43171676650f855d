// Histogram in CUDA C++: x (n,) int32 in 0..255, out (256,) int32 holding 0 at the start, n < 2^31.

// -------------------------------------------------------------------------------------------------
// Idea: one thread an element; it adds one to the bin in global memory.
// Should help: it is right, and short.
// Costs: an atomic an element. Elements of one value stand in one queue, from all over the grid.
extern "C" __global__ void one_atomic_an_element(const int* __restrict__ x, int* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(&out[x[i]], 1);
}

// -------------------------------------------------------------------------------------------------
// Idea: each block has bins of its own in shared memory, counts many elements there, and adds the
// 256 sums to those of the grid at the end.
// Should help: 256 atomics in global memory a block, however many elements it counts; queues are
// those of one block.
// Costs: clearing and merging, which a block with few elements pays for nothing.
extern "C" __global__ void bins_of_the_block(const int* __restrict__ x, int* out, int n) {
    __shared__ int bins[256];  // one a thread
    int t = threadIdx.x;
    bins[t] = 0;
    __syncthreads();  // all bins are empty before anybody counts
    for (int i = blockIdx.x * 256 + t; i < n; i += gridDim.x * 256) atomicAdd(&bins[x[i]], 1);
    __syncthreads();  // all have counted
    atomicAdd(&out[t], bins[t]);
}
