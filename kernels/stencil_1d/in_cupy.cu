// Seven-point smoothing in CUDA C++: x, out (n,) float32, n < 2^31, x is 0 outside.

__device__ float at(const float* x, int n, int i) { return 0 <= i && i < n ? x[i] : 0.0f; }

// The weighted sum of seven neighbours, v[0] to v[6].
__device__ float weighted(const float* v) {
    return ((v[0] + v[6]) + 6 * (v[1] + v[5]) + 15 * (v[2] + v[4]) + 20 * v[3]) * (1.0f / 64);
}

// -------------------------------------------------------------------------------------------------
// Idea: one thread an element of out; it loads the seven elements of x that it needs.
// Should help: it is the formula, and lanes side by side load elements side by side.
// Costs: each element is asked for seven times. The L1 cache answers six of them, and each is a
// request all the same.
extern "C" __global__ void seven_loads(const float* __restrict__ x, float* __restrict__ out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float v[7];
#pragma unroll
    for (int k = 0; k < 7; k++) v[k] = at(x, n, i - 3 + k);
    out[i] = weighted(v);
}

// -------------------------------------------------------------------------------------------------
// Idea: the block loads its 256 elements and a halo of three on both sides into shared memory; the
// seven reads of a thread go there.
// Should help: 262 elements are loaded for 256 results, instead of 1792.
// Costs: a barrier, and six threads with a second load.
extern "C" __global__ void shared_tile(const float* __restrict__ x, float* __restrict__ out, int n) {
    __shared__ float tile[256 + 6];  // tile[k] is x[256 * block - 3 + k]
    int t = threadIdx.x, i = blockIdx.x * 256 + t;
    tile[t + 3] = at(x, n, i);
    if (t < 3) {  // the halo: three to the left and three to the right
        tile[t] = at(x, n, i - 3);
        tile[t + 259] = at(x, n, i + 256);
    }
    __syncthreads();  // the tile is complete before anybody reads a neighbour's element
    if (i < n) out[i] = weighted(tile + t);
}
