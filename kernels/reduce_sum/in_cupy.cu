// Sum in CUDA C++: out[0] = sum of x, x (n,) float32, out (1,) float32 holding 0 at the start, n <
// 2^31.

// -------------------------------------------------------------------------------------------------
// Idea: every thread adds its own element to out[0], atomically, so that no addition gets lost.
// Should help: it is right, and short.
// Costs: n additions to one address stand in one queue. Their order, and so the rounding, differs
// from run to run.
extern "C" __global__ void one_atomic_an_element(const float* __restrict__ x, float* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(out, x[i]);
}

// -------------------------------------------------------------------------------------------------
// Idea: threads first sum several elements each, then the block adds up in a tree in shared memory;
// one thread a block does the atomic.
// Should help: one atomic a block instead of one an element; the tree takes log2(256) = 8 rounds.
// Costs: a barrier a round, and half of the threads idle after each.
extern "C" __global__ void shared_tree(const float* __restrict__ x, float* out, int n) {
    __shared__ float partial[256];  // one sum a thread; the block has exactly 256
    int t = threadIdx.x;
    float mine = 0.0f;
    for (int i = blockIdx.x * 256 + t; i < n; i += gridDim.x * 256) mine += x[i];
    partial[t] = mine;
    __syncthreads();  // every thread has written its sum before any other reads it
    for (int half = 128; half > 0; half /= 2) {
        if (t < half)
            partial[t] += partial[t + half];  // neighbours stay neighbours: no bank conflict
        __syncthreads();  // the sums of this round are complete before the next round reads them
    }
    if (t == 0) atomicAdd(out, partial[0]);
}

// -------------------------------------------------------------------------------------------------
// Idea: the 32 lanes of a warp add up by shuffles: a lane reads a register of another lane
// directly.
// Should help: five shuffles replace five rounds of the tree with their barriers; shared memory
// holds 8 sums only.
// Costs: all 32 lanes must take part, so nobody may leave the kernel before.
__device__ float sum_of_warp(float value) {
    for (int d = 16; d > 0; d /= 2) value += __shfl_xor_sync(0xffffffffu, value, d);
    return value;  // the same sum in every lane
}

// Sum over a block of 256 threads, valid in its first warp only. Every thread of the block must
// call it.
__device__ float sum_of_block(float value) {
    __shared__ float partial[8];  // one sum a warp
    int t = threadIdx.x;
    value = sum_of_warp(value);
    if (t % 32 == 0) partial[t / 32] = value;
    __syncthreads();  // all 8 sums are there before the first warp reads them
    if (t < 32) value = sum_of_warp(t < 8 ? partial[t] : 0.0f);
    return value;
}

extern "C" __global__ void warp_shuffles(const float* __restrict__ x, float* out, int n) {
    int t = threadIdx.x;
    float mine = 0.0f;
    for (int i = blockIdx.x * 256 + t; i < n; i += gridDim.x * 256) mine += x[i];
    mine = sum_of_block(mine);
    if (t == 0) atomicAdd(out, mine);
}

// -------------------------------------------------------------------------------------------------
// Idea: a thread reads four neighbours with one 16-byte load.
// Should help: a quarter of the loads, four times the bytes in flight a thread.
// Costs: the tail of n % 4 elements needs a line of its own; x must start at a multiple of 16
// bytes.
extern "C" __global__ void four_floats_a_load(const float* __restrict__ x, float* out, int n) {
    const float4* x4 = reinterpret_cast<const float4*>(x);
    int vectors = n / 4;
    int me = blockIdx.x * 256 + threadIdx.x;
    float mine = 0.0f;
    for (int i = me; i < vectors; i += gridDim.x * 256) {
        float4 v = x4[i];
        mine += (v.x + v.y) + (v.z + v.w);
    }
    int tail = 4 * vectors + me;  // the last n % 4 elements go to the first threads of the grid
    if (tail < n) mine += x[tail];
    mine = sum_of_block(mine);
    if (threadIdx.x == 0) atomicAdd(out, mine);
}
