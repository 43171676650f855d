// axpy in CUDA C++: out[i] = a * x[i] + y[i], x, y, out (n,) float32, n < 2^31.

// -------------------------------------------------------------------------------------------------
// Idea: one thread an element, and enough blocks to cover them all.
// Should help: neighbours in a warp read neighbours in memory; a * x + y becomes one fused
// multiply-add.
// Costs: one thread lives for one multiply-add.
extern "C" __global__ void one_thread_an_element(float a, const float* __restrict__ x,
                                                 const float* __restrict__ y,
                                                 float* __restrict__ out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;  // in [0, blocks * blockDim.x), which may pass n
    if (i < n) out[i] = a * x[i] + y[i];
}

// -------------------------------------------------------------------------------------------------
// Idea: a thread moves four neighbours at once with one 16-byte load from each input and one
// 16-byte store.
// Should help: a quarter of the memory instructions, four times the bytes in flight a thread.
// Costs: the tail of n % 4 elements needs a path of its own; base addresses must be multiples of 16
// bytes.
extern "C" __global__ void four_floats_a_load(float a, const float* __restrict__ x,
                                              const float* __restrict__ y, float* __restrict__ out,
                                              int n) {
    int vector = blockIdx.x * blockDim.x + threadIdx.x;  // which group of four elements
    int first = 4 * vector;
    if (first + 3 < n) {
        float4 p = reinterpret_cast<const float4*>(x)[vector];
        float4 q = reinterpret_cast<const float4*>(y)[vector];
        reinterpret_cast<float4*>(out)[vector] =
            make_float4(a * p.x + q.x, a * p.y + q.y, a * p.z + q.z, a * p.w + q.w);
    } else {
        // at most one thread of the grid has elements here: the last n % 4, one by one
        for (int i = first; i < n; ++i) out[i] = a * x[i] + y[i];
    }
}
