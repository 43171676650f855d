// Exclusive prefix sum in CUDA C++: out[i] = sum of x[:i], x, out (n,) float32, n < 2^31.

// -------------------------------------------------------------------------------------------------
// Idea: one block takes tiles of 256 elements in turn. In a tile, each round adds what stands d
// places to the left, for d = 1, 2, 4 ... 128: afterwards a thread holds the sum of all up to its
// own.
// Should help: eight rounds instead of 256 steps.
// Costs: 8 additions an element where one would do, two tiles of shared memory, and all
// multiprocessors but one are idle.
extern "C" __global__ void one_block_walks(const float* x, float* out, int n) {
    __shared__ float row[2][256];  // read from one, written to the other, in turn
    int t = threadIdx.x;
    float carry = 0;  // the sum of all tiles before
    for (int first = 0; first < n; first += 256) {
        int i = first + t, now = 0;
        row[0][t] = i < n ? x[i] : 0;
        __syncthreads();  // the tile is complete
        for (int d = 1; d < 256; d *= 2) {
            float value = row[now][t] + (t >= d ? row[now][t - d] : 0);
            now = 1 - now;
            row[now][t] = value;
            __syncthreads();  // this round is complete before the next one reads it
        }
        // the sum before this element is the left neighbour's
        if (i < n) out[i] = carry + (t > 0 ? row[now][t - 1] : 0);
        carry += row[now][255];
        __syncthreads();  // all have read the total: the next tile may overwrite it
    }
}

// -------------------------------------------------------------------------------------------------
// Idea: first every block finds the total of its 256 elements; one block scans the totals; then
// every block scans its own elements, beginning with the sum of all before it.
// Should help: all multiprocessors work; lanes pass sums on by shuffles, with two barriers a block.
// Costs: x is read twice, and there are three launches.
__device__ float up_to_this_lane(float value) {
    for (int d = 1; d < 32; d *= 2) {
        float left = __shfl_up_sync(~0u, value, d);
        if (threadIdx.x % 32 >= d) value += left;  // now the sum of the last 2 d lanes up to this one
    }
    return value;
}

// The sum of `value` over the threads of the block before this one; warps[7] holds the sum of all.
__device__ float before_this_thread(float value, float* warps) {
    int t = threadIdx.x;
    float up_to = up_to_this_lane(value);
    if (t % 32 == 31) warps[t / 32] = up_to;
    __syncthreads();  // the sums of all eight warps are there
    if (t < 32) {
        float sums = up_to_this_lane(t < 8 ? warps[t] : 0);
        if (t < 8) warps[t] = sums;
    }
    __syncthreads();  // and now each includes those of the warps before it
    float before = __shfl_up_sync(~0u, up_to, 1);
    return (t % 32 ? before : 0) + (t >= 32 ? warps[t / 32 - 1] : 0);
}

extern "C" __global__ void block_totals(const float* x, float* totals, int n) {
    __shared__ float warps[8];
    int i = blockIdx.x * 256 + threadIdx.x;
    before_this_thread(i < n ? x[i] : 0, warps);
    if (threadIdx.x == 0) totals[blockIdx.x] = warps[7];
}

extern "C" __global__ void scan_from(const float* x, const float* before, float* out, int n) {
    __shared__ float warps[8];
    int i = blockIdx.x * 256 + threadIdx.x;
    float here = before_this_thread(i < n ? x[i] : 0, warps);
    if (i < n) out[i] = before[blockIdx.x] + here;
}
