// Vector addition in CUDA C++: out[i] = x[i] + y[i], all (n,) float32, n < 2^31.

// -------------------------------------------------------------------------------------------------
// Idea: one thread an element, and enough blocks to cover them all.
// Should help: neighbours in a warp read neighbours in memory, so 32 lanes need only 4 sectors of
// 32 bytes a load.
// Costs: every thread lives for one addition; most of its instructions compute the index.
extern "C" __global__ void one_thread_an_element(const float* __restrict__ x,
                                                 const float* __restrict__ y,
                                                 float* __restrict__ out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;  // in [0, blocks * blockDim.x), which may pass n
    if (i < n) out[i] = x[i] + y[i];
}

// -------------------------------------------------------------------------------------------------
// Idea: a thread moves four neighbours at once with one 16-byte load from each input and one
// 16-byte store.
// Should help: a quarter of the memory instructions and index arithmetic, four times the bytes in
// flight a thread.
// Costs: the tail of n % 4 elements needs a path of its own; base addresses must be multiples of 16
// bytes.
extern "C" __global__ void four_floats_a_load(const float* __restrict__ x,
                                              const float* __restrict__ y, float* __restrict__ out,
                                              int n) {
    // which group of four, in [0, ceil(n / 4) rounded up to a block)
    int vector = blockIdx.x * blockDim.x + threadIdx.x;
    int first = 4 * vector;
    if (first + 3 < n) {
        float4 a = reinterpret_cast<const float4*>(x)[vector];
        float4 b = reinterpret_cast<const float4*>(y)[vector];
        reinterpret_cast<float4*>(out)[vector] =
            make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
    } else {
        // at most one thread of the grid has elements here: the last n % 4, one by one
        for (int i = first; i < n; ++i) out[i] = x[i] + y[i];
    }
}

// -------------------------------------------------------------------------------------------------
// Idea: a grid of fixed size, two vectors of each input loaded before the first is used, all marked
// as streaming.
// Should help: twice the bytes in flight a thread; lines that nobody reads again are evicted first.
// Costs: more registers; base addresses must be multiples of 16 bytes.
__device__ float4 sum_of(float4 a, float4 b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

extern "C" __global__ void streaming_hints(const float* __restrict__ x, const float* __restrict__ y,
                                           float* __restrict__ out, int n) {
    const float4* x4 = reinterpret_cast<const float4*>(x);
    const float4* y4 = reinterpret_cast<const float4*>(y);
    float4* out4 = reinterpret_cast<float4*>(out);
    int vectors = n / 4;
    int threads = gridDim.x * blockDim.x;  // of the whole grid
    int me = blockIdx.x * blockDim.x + threadIdx.x;
    int i = me;
    // i + threads < vectors: both vectors of this round are inside
    for (; i + threads < vectors; i += 2 * threads) {
        float4 a = __ldcs(x4 + i), b = __ldcs(y4 + i);
        float4 c = __ldcs(x4 + i + threads), d = __ldcs(y4 + i + threads);
        __stcs(out4 + i, sum_of(a, b));
        __stcs(out4 + i + threads, sum_of(c, d));
    }
    // at most one vector is left a thread
    if (i < vectors) __stcs(out4 + i, sum_of(__ldcs(x4 + i), __ldcs(y4 + i)));
    int tail = 4 * vectors + me;  // the last n % 4 elements go to the first threads of the grid
    if (tail < n) out[tail] = x[tail] + y[tail];
}
